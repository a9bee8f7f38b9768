"""What is checked of blocks that do not run: their commands parse, their configs load, their code compiles."""

import argparse
import ast
import contextlib
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from documents import ROOT, Block, Document, commands_of

from genrec.config import ExperimentConfig, config_from_mapping, load_config

OWN = ("genrec", "torchrun", "accelerate", "make", "python", "pip", "curl", "srun")


def check_block(block: Block, document: Document) -> None:
    """`AssertionError`, or the error of what reads it, for what does not hold."""
    if block.language == "python":
        compile(block.text, f"{document.path}:{block.line}", "exec")
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        check_config(yaml.safe_load(block.text), source=f"{document.path}:{block.line}")
        assert "defaults" not in block.marks or is_default(block.text), f"{document.path}:{block.line}: no defaults"
    elif block.language in ("", "bash"):
        configs = {other.file: other.text for other in document.blocks if other.file}
        for command in commands_of(block.text):
            check_command(command, configs)


def check_config(mapping: Mapping[str, Any], *, source: str) -> None:
    """A fragment stands over the demo's config; one with data of its own is whole."""
    below = {} if "data" in mapping else yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    config_from_mapping(_over(below, mapping), source=source)


def is_default(text: str) -> bool:
    """Whether a fragment says nothing but defaults."""
    return config_from_mapping(yaml.safe_load(text)) == ExperimentConfig()


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        key: _over(below[key], value)
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **nested}


def check_command(command: str, configs: Mapping[str, str] | None = None) -> None:
    """The commands that are ours, or lead to ours, name what there is; nothing is executed.

    `configs`: name -> text of those that the document writes.
    """
    words = shlex.split(re.sub(r"\$\([^)]*\)|\$\w+", "0", command), comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if not words or words[0] not in OWN:
        return
    name, rest = words[0], words[1:]
    if name == "srun":
        check_command(next(word for word in rest if " " in word), configs)
    elif name == "genrec":
        check_genrec(rest, configs or {})
    elif name == "torchrun":
        from torch.distributed.run import get_args_parser

        check_module(_quietly(get_args_parser(), rest), "training_script", configs or {})
    elif name == "accelerate":
        from accelerate.commands.launch import launch_command_parser

        assert rest[0] == "launch", command
        options = _quietly(launch_command_parser(), rest[1:])
        assert options.config_file is None or (ROOT / options.config_file).is_file(), command
        check_module(options, "training_script", configs or {})
    elif name == "python":
        check_python(rest, configs or {})
    elif name == "make":
        assert set(rest) <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)), command
    elif name == "pip":
        _check_extras(rest)
    elif name == "curl":
        check_call(rest)


def check_module(options: argparse.Namespace, script: str, configs: Mapping[str, str]) -> None:
    """What a launcher starts is `-m genrec ...`, and parses."""
    assert options.module and getattr(options, script) == "genrec", options
    check_genrec(options.training_script_args, configs)


def check_genrec(words: Sequence[str], configs: Mapping[str, str]) -> None:
    """The command exists, takes these options and arguments, and its overrides fit its config."""
    command, rest = _commands(), list(words)
    path = "genrec"
    while hasattr(command, "commands"):
        assert rest and rest[0] in command.commands, f"{path} has no command {rest[:1]}"
        path, command = f"{path} {rest[0]}", command.commands[rest.pop(0)]
    given = command.make_context(path, rest).params
    source = next((given[key] for key in ("config", "source", "run") if given.get(key) is not None), None)
    if "overrides" in given:
        check_overrides(str(source), given["overrides"] or (), configs)


def check_overrides(source: str, overrides: Sequence[str], configs: Mapping[str, str]) -> None:
    """The config, if it is one of ours or of the document, loads with them; for others the demo's stands."""
    if source in configs:
        below = yaml.safe_load(configs[source])
        for override in overrides:
            key, _, value = override.partition("=")
            for part in reversed(key.split(".")):
                value = {part: yaml.safe_load(value) if isinstance(value, str) else value}
            assert isinstance(value, dict)
            below = _over(below, value)
        config_from_mapping(below, source=source)
        return
    ours = ROOT / "configs" / f"{Path(source).stem}.yaml"
    is_ours = ours.is_file() and not source.startswith("runs/")
    load_config(ours if is_ours else ROOT / "configs" / "demo.yaml", overrides)


@cache
def _commands() -> Any:
    from typer.main import get_command

    from genrec.cli import app

    return get_command(app)


def check_python(words: Sequence[str], configs: Mapping[str, str]) -> None:
    """`-m genrec` as `genrec`; `-m benchmarks.X`: there is one, and it has these options."""
    assert words[0] == "-m", words
    if words[1] == "genrec":
        check_genrec(words[2:], configs)
        return
    module = ROOT / f"{words[1].replace('.', '/')}.py"
    assert words[1].startswith("benchmarks.") and module.is_file(), words
    known = _options_of(module)
    for word in words[2:]:
        assert not word.startswith("--") or word.partition("=")[0] in known, f"{words[1]} has no option {word}"
        if word.startswith("configs/"):
            overrides = [other for other in words if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+=.*", other)]
            load_config(ROOT / word, overrides)


def _options_of(module: Path) -> set[str]:
    """What its `add_argument` calls name, and those of the benchmarks that it imports."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    own = {
        word.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument"
        for word in call.args
        if isinstance(word, ast.Constant)
    }
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = [ROOT / f"{name.replace('.', '/')}.py" for name in imported if name and name.startswith("benchmarks.")]
    return own.union(*(_options_of(other) for other in others))


def _check_extras(words: Sequence[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"(?:genrec|\.)\[([a-z,]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), words


def check_call(words: Sequence[str]) -> None:
    """A call of our server: the path is in the schema, and the body is one that it reads."""
    url = next(word for word in words if "localhost" in word)
    path = re.sub(r"^(https?://)?localhost(:\d+)?", "", url)
    method = words[words.index("-X") + 1].lower() if "-X" in words else "post" if "-d" in words else "get"
    known = {
        template: calls
        for template, calls in _schema()["paths"].items()
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path.partition("?")[0])
    }
    assert any(method in calls for calls in known.values()), f"the server has no {method.upper()} {path}"
    if "-d" in words and path in ("/v1/recommend", "/v1/similar"):
        body = json.loads(words[words.index("-d") + 1])
        kind = "similar" if path == "/v1/similar" else "requests" if "requests" in body else "request"
        getattr(_bodies(), kind).model_validate(body)


@cache
def _schema() -> dict[str, Any]:
    from genrec.serving.app import make_app
    from genrec.serving.config import ServingConfig
    from genrec.serving.engine import Engine
    from genrec.serving.live_catalogue import LiveCatalogue

    live = LiveCatalogue.__new__(LiveCatalogue)  # the schema asks nothing of a run
    live.engine = Engine.__new__(Engine)
    return make_app(live, ServingConfig(), run="any").openapi()


@cache
def _bodies() -> Any:
    from genrec.serving.config import ServingConfig
    from genrec.serving.schemas import calls_of

    return calls_of(ServingConfig())


def _quietly(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """As it parses; `AssertionError` with what it says in place of its exit."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            return parser.parse_args(list(words))
        except SystemExit as error:
            raise AssertionError(said.getvalue()) from error


def broken_links(document: Document) -> Iterator[str]:
    """Links within the project that lead nowhere."""
    for link in document.links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.path.parent / file).resolve() if file else document.path
        if not target.exists() or (anchor and anchor not in Document.read(target).anchors):
            yield link


def missing_files(document: Document) -> Iterator[str]:
    """Files of the project that the text names and that are not there."""
    for name in re.findall(r"`((?:benchmarks|configs|docs|tests)/[\w./*-]*)`", document.text):
        if not list(ROOT.glob(name.rstrip("/"))):
            yield name
