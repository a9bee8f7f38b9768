"""A mapping -> a tree of frozen dataclasses; everything that is wrong is told at once, each with its place.

Stricter than pydantic by itself: unknown keys, NaN and infinity are refused, `true` is no integer, text is no number.
Kinder in one point: `1e-3` is a number where one is expected (YAML 1.1 reads it as text).
"""

import dataclasses
import json
import math
import os
import re
import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from genrec.fingerprints import plain
from genrec.yaml_document import Document, KeyPath, dotted, shown

Config = TypeVar("Config")

_SCIENTIFIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a section of keys",
    "dict_type": "a mapping of keys to values",
    "float_type": "a number",
    "int_type": "an integer",
    "list_type": "a list",
    "string_type": "text",
    "tuple_type": "a list",
}


def load_dataclass(cls: type[Config], mapping: Mapping[Any, Any], *, source: str) -> Config:
    """An instance of a dataclass, with nested dataclasses for nested mappings and defaults for what is left out.

    A mapping changes what it names of its field's default, and leaves the rest of that as it is.

    `source` names the mapping in messages. `ConfigError` lists every unknown key, missing key, wrong type, number that
    is not finite, and what the classes' own `__post_init__` refuse (`ValueError`).
    """
    return build(cls, Document(source, dict(mapping)))


def build(cls: type[Config], document: Document) -> Config:
    """The same for a document whose places, and problems so far, belong into the message."""
    values = _json_ready(cls, document.mapping, (), document, default=None)
    try:
        config = type_adapter(cls).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        _report_types(error.errors(include_url=False), values, document)
        config = None
    document.check()
    assert config is not None
    return config


@cache
def type_adapter(cls: type) -> TypeAdapter:
    """The reader that pydantic makes for a class, made once since that takes a while."""
    return TypeAdapter(cls)


def _json_ready(hint: Any, value: Any, path: KeyPath, document: Document, *, default: Any) -> Any:
    """The value as JSON can carry it, numbers such as `1e-3` read where the hint wants one.

    Unknown keys and values that are no plain YAML are reported, and left out. `default`: what stands there without the
    value, None: nothing.
    """
    if isinstance(value, Mapping):
        return _json_mapping(hint, value, path, document, default)
    if isinstance(value, list | tuple):
        return [
            _json_ready(_element_hint(hint, position), inner, (*path, position), document, default=None)
            for position, inner in enumerate(value)
        ]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
        wanted = _alternatives(hint)
        value = float(value) if float in wanted and str not in wanted else value
    if isinstance(value, float) and not math.isfinite(value):
        document.report(path, f"{dotted(path)} is {value}; expected a finite number")
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    document.report(
        path, f"{dotted(path)} is of type {type(value).__name__}; expected text, a number, a list or a section"
    )
    return None


def _json_mapping(
    hint: Any, mapping: Mapping[Any, Any], path: KeyPath, document: Document, default: Any
) -> dict[str, Any]:
    """`_json_ready` for what lies below each key, and what a default has that its class has not."""
    owner: Any = next((choice for choice in _alternatives(hint) if dataclasses.is_dataclass(choice)), None)
    usual = _defaults(owner) if owner else {}
    standing = vars(default) if owner and type(default) is owner else usual
    hints = get_type_hints(owner) if owner else {}
    inner_hint = next((get_args(c)[1] for c in _alternatives(hint) if get_origin(c) in (dict, Mapping)), Any)
    ready = {}
    for key, value in mapping.items():
        inner = (*path, str(key))
        if owner and key not in hints:
            document.report(inner, f"{dotted(inner)} is unknown; {_known_keys(str(key), hints)}")
        elif not isinstance(key, str):
            document.report(inner, f"{dotted(inner)} has a key that is not text; write {str(key)!r} in quotes")
        else:
            ready[key] = _json_ready(hints.get(key, inner_hint), value, inner, document, default=standing.get(key))
    own = {name for name in standing if name not in mapping and (name not in usual or standing[name] != usual[name])}
    return {**ready, **{name: plain(standing[name]) for name in sorted(own)}}


def _defaults(cls: Any) -> dict[str, Any]:
    """Of every field that has one."""
    found = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _known_keys(name: str, hints: Mapping[str, Any]) -> str:
    """The key that was probably meant; all keys if none is alike."""
    close = get_close_matches(name, hints, n=1)
    below = [
        f"{section}.{name}" for section, hint in hints.items() if name in getattr(hint, "__dataclass_fields__", ())
    ]
    if close or below:
        return f"did you mean {(close or below)[0]!r}?"
    return f"known here: {', '.join(hints)}"


def _alternatives(hint: Any) -> list[Any]:
    """The members of a union; otherwise the hint alone."""
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [choice for member in get_args(hint) for choice in _alternatives(member)]
    return [hint]


def _element_hint(hint: Any, position: int) -> Any:
    """What a list's element should be, by the first list-like member of the hint."""
    for choice in _alternatives(hint):
        arguments = get_args(choice)
        if get_origin(choice) is tuple and Ellipsis not in arguments:
            return arguments[position] if position < len(arguments) else Any
        if get_origin(choice) in (tuple, list, Sequence, frozenset, set):
            return arguments[0]
    return Any


def _report_types(errors: Sequence[ErrorDetails], values: Any, document: Document) -> None:
    """Put pydantic's errors into our words, one per key; alternatives of a union are joined by `or`."""
    told = {path for _, path, _ in document.problems}
    at: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        at.setdefault(_key_path(error, values), []).append(error)
    for path, group in at.items():
        first, name = group[0], dotted(path) or "it"
        if path in told:
            continue
        if first["type"] == "missing":
            document.report(path, f"{name} is missing")
        elif first["type"] in ("value_error", "assertion_error"):
            _report_refusal(path, str(first.get("ctx", {})["error"]), first["input"], document)
        else:
            expected = " or ".join(dict.fromkeys(_expected(error) for error in group))
            document.report(path, f"{name} is {shown(first['input'])}; expected {expected}{_remedy(group)}")


def _report_refusal(path: KeyPath, message: str, section: Any, document: Document) -> None:
    """What a class's own check said, at the key that the message begins with if the user wrote that key."""
    if path:
        message = message.removeprefix(f"{path[-1]}.")
    word, _, rest = message.partition(" ")
    if isinstance(section, dict) and word in section:
        document.report((*path, word), f"{dotted((*path, word))} {rest}")
    else:
        document.report(path, f"{dotted(path)}: {message}" if path else message)


def _key_path(error: ErrorDetails, values: Any) -> KeyPath:
    """The keys that lead to an error, without pydantic's tags for the members of a union."""
    path: list[str | int] = []
    for step in error["loc"]:
        held: Any = dict(enumerate(values)) if isinstance(values, list) else values
        if isinstance(held, dict) and step in held:
            path.append(step)
            values = held[step]
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


def _expected(error: ErrorDetails) -> str:
    return _EXPECTED.get(error["type"], error["msg"].removeprefix("Input should be "))


def _remedy(group: Sequence[ErrorDetails]) -> str:
    """What to write instead, where that can be guessed; starts with `; `."""
    value, kinds = group[0]["input"], {error["type"] for error in group}
    choices = re.findall(r"'([^']*)'", " ".join(error["msg"] for error in group if error["type"] == "literal_error"))
    close = get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    if close:
        return f"; did you mean {close[0]!r}?"
    if value is None and "dataclass_type" in kinds:
        return "; leave the key out to have the defaults"
    if "string_type" in kinds and isinstance(value, bool | int | float):
        return "; write it in quotes"
    if "tuple_type" in kinds and isinstance(value, str):
        return f"; write [{value}]"
    return ""
