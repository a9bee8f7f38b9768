"""A trie on disk: raw little-endian arrays, header.json, and manifest.json with the SHA-256 of every other file."""

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path

import numpy as np
from numpy import ndarray

FORMAT = "prefix-trie-1"
HEADER, MANIFEST = "header.json", "manifest.json"
REMEDY = "build the trie again from its codes"


class TrieFileError(ValueError):
    """A saved trie with a file that is missing, damaged, or of another format."""


def write_arrays(folder: Path, arrays: dict[str, ndarray], header: dict) -> None:
    """Write everything to a folder beside, then rename it; an older trie there is replaced as a whole.

    ValueError where `folder` exists and holds something other than a trie.
    """
    if folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files that are not a trie; choose another folder")
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    fresh.mkdir(parents=True)
    try:
        shapes = {name: {"dtype": _little(array).str, "shape": list(array.shape)} for name, array in arrays.items()}
        files = {f"{name}.bin": np.ascontiguousarray(array, dtype=_little(array)) for name, array in arrays.items()}
        sums = {name: _write(fresh / name, array.data.cast("B")) for name, array in files.items()}
        sums[HEADER] = _write(fresh / HEADER, _json({"format": FORMAT, **header, "arrays": shapes}))
        _write(fresh / MANIFEST, _json(sums))
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_arrays(folder: Path, *, mmap: bool, verify: bool) -> tuple[dict[str, ndarray], dict]:
    """The arrays by name and the header; TrieFileError names the file that is not as it was written."""
    if verify:
        _verify(folder)
    header = _read_json(folder / HEADER)
    if header.get("format") != FORMAT:
        raise TrieFileError(f"{folder / HEADER}: expected format {FORMAT}, found {header.get('format')}; {REMEDY}")
    arrays = {}
    for name, about in header["arrays"].items():
        path, dtype, shape = folder / f"{name}.bin", np.dtype(about["dtype"]), tuple(about["shape"])
        expected = dtype.itemsize * int(np.prod(shape))
        if not path.is_file() or path.stat().st_size != expected:
            found = f"{path.stat().st_size} bytes" if path.is_file() else "no such file"
            raise TrieFileError(f"{path}: expected {expected} bytes, found {found}; {REMEDY}")
        # Copy-on-write: torch wants writable memory, and the file must stay as it is.
        array = np.memmap(path, dtype, "c", shape=shape) if mmap else np.fromfile(path, dtype).reshape(shape)
        arrays[name] = np.asarray(array)
    return arrays, header


def _verify(folder: Path) -> None:
    sums = _read_json(folder / MANIFEST)
    if (folder / MANIFEST).read_bytes() != _json(sums) or HEADER not in sums:
        raise TrieFileError(f"{folder / MANIFEST} is not as it was written; {REMEDY}")
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise TrieFileError(f"{path} is listed in {MANIFEST} but missing; {REMEDY}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise TrieFileError(f"{path} is damaged: SHA-256 {found}, but {MANIFEST} says {expected}; {REMEDY}")


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise TrieFileError(f"{path} is missing; {REMEDY}") from None
    except ValueError as error:
        raise TrieFileError(f"{path} is damaged: {error}; {REMEDY}") from None


def _json(content: dict) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _little(array: ndarray) -> np.dtype:
    return array.dtype.newbyteorder("<")


def _write(path: Path, content: bytes | memoryview) -> str:
    """Write and fsync; the content's SHA-256."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; a folder cannot be renamed over one that holds files."""
    old = folder.with_name(f"{fresh.name}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
