"""YAML text -> a mapping that remembers where each key was written, so that an error can name the line; and back.

Stricter than YAML: repeated keys and aliases are refused. A date stays the text that was written.
"""

import dataclasses
import json
from typing import Any, NamedTuple

import yaml

from genrec.errors import ConfigError

KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """Where something was written: a file and its line from 1 on; or an override, without a line."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclasses.dataclass
class Document:
    """A mapping on its way to a config, with the place of every key and the problems found so far."""

    source: str
    mapping: dict[Any, Any]
    places: dict[KeyPath, Place] = dataclasses.field(default_factory=dict)
    problems: list[tuple[Place, KeyPath, str]] = dataclasses.field(default_factory=list)

    def report(self, path: KeyPath, text: str) -> None:
        """Note a problem at the innermost key of the path that was written somewhere."""
        known = (self.places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.places)
        self.problems.append((next(known, Place(self.source)), path, text))

    def check(self) -> None:
        """`ConfigError` with one line per problem, in the order of the file, if there is any."""
        if self.problems:
            lines = [f"{place}: {text}" for place, _, text in sorted(self.problems, key=lambda problem: problem[0])]
            raise ConfigError("\n".join(dict.fromkeys(lines)))


def parse_document(text: str, *, source: str) -> Document:
    """The mapping that a YAML text holds; empty for an empty text. `ConfigError` where it cannot be read at all."""
    document = Document(source, {})
    value = _parsed(text, document, ())
    if isinstance(value, dict):
        document.mapping = value
    elif value is not None:
        document.report((), f"the file holds {shown(value)}; expected sections such as `data:` with keys below them")
    return document


def apply_override(document: Document, override: str) -> None:
    """Set one key of the document from `section.key=value`, the value written as in YAML; lists and sections whole."""
    name, equals, text = override.partition("=")
    path, place = tuple(name.strip().split(".")), Place(f"override {override!r}")
    if not equals or not all(path):
        document.problems.append((place, path, "expected the form section.key=value"))
        return
    scratch = Document(place.source, {})
    try:
        value = _parsed(text, scratch, path)
    except ConfigError as error:
        document.problems.append((place, path, str(error).removeprefix(f"{place}:").strip()))
        return
    document.problems += [(place, where, what) for _, where, what in scratch.problems]
    document.places = {known: at for known, at in document.places.items() if known[: len(path)] != path} | {path: place}
    section = document.mapping
    for depth, name in enumerate(path[:-1], start=1):
        if not isinstance(section.get(name), dict):
            section[name] = {}
            document.places[path[:depth]] = place
        section = section[name]
    section[path[-1]] = value


def dump_yaml(value: Any) -> str:
    """Lists, dicts and scalars as YAML that `parse_document` reads back exactly."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` that leaves dates as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- yaml's own attribute, as it wants it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """`yaml.SafeDumper` that escapes what its plain styles would change, such as the line end U+0085."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """A text as a YAML scalar, with escapes if it has characters that are not printed."""
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _parsed(text: str, document: Document, path: KeyPath) -> Any:
    """The value of a YAML text; notes the line of each of its keys, below `path`, in the document."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _note_places(node, path, document, seen=set())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{document.source}{where}: cannot be read as YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{document.source}: cannot be read as YAML: {error}") from error


def _note_places(node: yaml.Node, path: KeyPath, document: Document, *, seen: set[int]) -> None:
    """Fill `document.places` and report repeated keys. `ConfigError` for an alias, which is a node met twice."""
    if id(node) in seen:
        document.report(path, f"{dotted(path)} is an alias (*name), which configs do not have; write the value out")
        document.check()
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, inner in enumerate(node.value):
            _note_places(inner, (*path, position), document, seen=seen)
    elif isinstance(node, yaml.MappingNode):
        for key_node, inner in node.value:
            key, before = (*path, str(key_node.value)), document.places.get((*path, str(key_node.value)))
            document.places[key] = Place(document.source, key_node.start_mark.line + 1)
            if before:
                document.report(key, f"{dotted(key)} is written twice, first in line {before.line}; keep one")
            _note_places(inner, key, document, seen=seen)


def dotted(path: KeyPath) -> str:
    """A key as the user names it: `section.key`."""
    return ".".join(map(str, path))


def shown(value: Any) -> str:
    """A value as its user wrote it, more or less, and short."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
