"""A fitted tokenizer on disk: model.safetensors and config.json, checked when read."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tokenizer.sealed_json import read_sealed_json, sealed_json

FORMAT_VERSION = 2
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"

Config = TypeVar("Config")


class Checkpoint(NamedTuple):
    """What `read_checkpoint` found."""

    config: dict[str, Any]
    arrays: dict[str, ndarray]


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`write` fills a temporary file beside `path`, which then takes its place: a killed run leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        with temporary.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_checkpoint(folder: Path, kind: str, config: Mapping[str, Any], arrays: Mapping[str, ndarray]) -> None:
    """Write both files; config.json comes last and holds the SHA-256 of the weights and its own."""
    weights = save(dict(arrays))
    write_atomically(folder / WEIGHTS_FILE, lambda file: file.write(weights))
    header = {"format": FORMAT_VERSION, "tokenizer": kind, **config, "sha256": hashlib.sha256(weights).hexdigest()}
    write_atomically(folder / CONFIG_FILE, lambda file: file.write(sealed_json(header)))


def read_checkpoint(folder: Path, kind: str) -> Checkpoint:
    """The parts of a tokenizer of this kind.

    Raises:
        ValueError: a file is missing, damaged, of an unknown format or of another kind of tokenizer; it is named.
    """
    config = _read_config(folder / CONFIG_FILE, kind)
    weights_path = folder / WEIGHTS_FILE
    weights = _read_bytes(weights_path)
    if hashlib.sha256(weights).hexdigest() != config.get("sha256"):
        raise ValueError(
            f"{weights_path} is damaged or not the one that {CONFIG_FILE} beside it describes (its SHA-256 differs); "
            "copy both files again, or fit the tokenizer again"
        )
    try:
        return Checkpoint(config, load(weights))
    except SafetensorError as error:
        raise ValueError(f"{weights_path} is not a safetensors file ({error}); fit the tokenizer again") from error


def checked_array(folder: Path, arrays: Mapping[str, ndarray], name: str, shape: tuple[int, ...]) -> ndarray:
    """The array of that name as float32.

    Raises:
        ValueError: it is missing, has another shape, is not float32 or not finite; file and array are named.
    """
    found = arrays.get(name)
    what = "nothing" if found is None else f"{found.dtype} {found.shape}"
    if found is None or found.shape != shape or found.dtype != "float32":
        raise ValueError(
            f"{folder / WEIGHTS_FILE}: expected array {name!r} as float32 {shape}, but found {what}; "
            f"it does not belong to {CONFIG_FILE} beside it"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{folder / WEIGHTS_FILE}: array {name!r} holds NaN or infinity; fit the tokenizer again")
    return found


def _read_config(path: Path, kind: str) -> dict[str, Any]:
    written = _read_bytes(path)
    try:
        config = json.loads(written)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); fit the tokenizer again") from error
    # format and kind first: another version may have sealed its config in another way
    if not isinstance(config, dict) or config.get("format") != FORMAT_VERSION:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ValueError(
            f"{path}: expected a tokenizer of format {FORMAT_VERSION}, but found {found!r}; "
            "fit the tokenizer again with this version"
        )
    if config.get("tokenizer") != kind:
        raise ValueError(f"{path}: expected a {kind}, but found {config.get('tokenizer')!r}; load it with that class")
    try:
        return read_sealed_json(written)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); copy both files again, or fit the tokenizer again") from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} is missing: a saved tokenizer has {CONFIG_FILE} and {WEIGHTS_FILE}; "
            "check the folder, or fit the tokenizer again"
        ) from error


def stored_count(folder: Path, config: Mapping[str, Any], key: str) -> int:
    """A whole number >= 0 out of config.json; anything else is a ValueError that names file and key."""
    value = config.get(key)
    if type(value) is not int or value < 0:
        raise ValueError(f"{folder / CONFIG_FILE}: expected a whole number for {key!r}, but found {value!r}")
    return value


def config_from_json(folder: Path, kind: type[Config], config: Mapping[str, Any]) -> Config:
    """The frozen config dataclass out of config.json; what it refuses is a ValueError with the file."""
    values = config.get("config")
    try:
        if not isinstance(values, dict):
            raise TypeError(f"expected an object, but found {values!r}")
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG_FILE}: 'config' is not a {kind.__name__}: {error}") from error
