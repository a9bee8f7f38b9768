"""Short names for contents: equal fingerprints, equal inputs, so a stage need not run again."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genrec.atomic_files import TEMPORARY
from genrec.errors import ArtifactError


def fingerprint(*parts: Any) -> str:
    """SHA-256 in hex over the parts as canonical JSON: dataclasses by their fields, paths and tuples as text and lists.

    `TypeError` for what has no such form: take the `file_fingerprint` of a file, or a hash of an array's bytes.
    """
    text = json.dumps([plain(part) for part in parts], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_fingerprint(path: str | os.PathLike[str]) -> str:
    """SHA-256 in hex of a file's bytes; of a folder: over the digests and relative paths of all its files, sorted.

    `ArtifactError` if there is nothing to read.
    """
    path = Path(path)
    if path.is_dir():
        lines = [f"{file_fingerprint(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist; expected a file or folder to read")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(path: Path) -> list[Path]:
    """The file itself, or all finished files below a folder, sorted; empty if there are none."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return [file for file in files if not any(part.startswith(TEMPORARY) for part in file.relative_to(path).parts)]


def plain(value: Any) -> Any:
    """The value in lists, dicts with text keys, and JSON's scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value).__name__
    raise TypeError(f"expected dataclasses, lists, dicts with text keys, paths, text or numbers, not {kind}")
