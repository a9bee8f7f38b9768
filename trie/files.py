"""A trie on disk: raw little-endian arrays, header.json, and manifest.json with the SHA-256 of every other file."""

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from trie.build import TrieArrays
from trie.child_starts import ChildStarts

FORMAT = "prefix-trie-2"
HEADER, MANIFEST = "header.json", "manifest.json"
REMEDY = "build the trie again from its codes"


class TrieFileError(ValueError):
    """A saved trie with a file that is missing, damaged, or of another format."""


class Header(NamedTuple):
    """What is kept beside the arrays; see PrefixTrie."""

    level_sizes: tuple[int, ...]
    fanout: tuple[int, ...]
    has_stop: bool


def named_arrays(arrays: TrieArrays) -> dict[str, ndarray]:
    """Every array that is kept, by the name it is saved under."""
    named = {f"token{level}": token for level, token in enumerate(arrays.token)}
    for depth, (begin, listed) in enumerate(arrays.starts):
        named |= {f"begin{depth}": begin} if listed is None else {f"begin{depth}": begin, f"listed{depth}": listed}
    return named | {"order": arrays.order, "position": arrays.position}


def write_trie(folder: Path, arrays: TrieArrays, header: Header) -> None:
    """Write everything to a folder beside, then rename it; an older trie there is replaced as a whole.

    ValueError where `folder` exists and holds something other than a trie.
    """
    if folder.exists() and not (folder / MANIFEST).exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files that are not a trie; choose another folder")
    named = named_arrays(arrays)
    fresh = folder.with_name(f".tmp-{folder.name}-{uuid.uuid4().hex}")
    fresh.mkdir(parents=True)
    try:
        shapes = {name: {"dtype": _little(array).str, "shape": list(array.shape)} for name, array in named.items()}
        files = {f"{name}.bin": np.ascontiguousarray(array, dtype=_little(array)) for name, array in named.items()}
        sums = {name: _write(fresh / name, array.data.cast("B")) for name, array in files.items()}
        sums[HEADER] = _write(fresh / HEADER, _json({"format": FORMAT, **header._asdict(), "arrays": shapes}))
        _write(fresh / MANIFEST, _json(sums))
        _sync(fresh)
        _swap(fresh, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_trie(folder: Path, *, mmap: bool, verify: bool) -> tuple[TrieArrays, Header]:
    """The arrays and the header; TrieFileError names the file that is not as it was written."""
    if verify:
        _verify(folder)
    content = _read_json(folder / HEADER)
    if content.get("format") != FORMAT:
        raise TrieFileError(f"{folder / HEADER}: expected format {FORMAT}, found {content.get('format')}; {REMEDY}")
    try:
        header = Header(tuple(content["level_sizes"]), tuple(content["fanout"]), bool(content["has_stop"]))
        named = {name: _read_array(folder / f"{name}.bin", about, mmap) for name, about in content["arrays"].items()}
        arrays = _trie_arrays(named, len(header.level_sizes))
        _check_lengths(arrays, header, folder)
        if verify and arrays.order.max() != len(arrays.position) - 1:
            raise TrieFileError(f"{folder / 'position.bin'} has an entry more or less than order.bin; {REMEDY}")
        return arrays, header
    except (KeyError, TypeError, AttributeError) as error:
        raise TrieFileError(f"{folder / HEADER} is damaged: {error!r}; {REMEDY}") from None


def _trie_arrays(named: dict[str, ndarray], length: int) -> TrieArrays:
    """The inverse of `named_arrays`."""
    return TrieArrays(
        token=tuple(named[f"token{level}"] for level in range(length)),
        starts=tuple(ChildStarts(named[f"begin{d}"], named.get(f"listed{d}")) for d in range(length + 1)),
        order=named["order"],
        position=named["position"],
    )


def _check_lengths(arrays: TrieArrays, header: Header, folder: Path) -> None:
    """Whether every array has an entry for each node that the others count; a glance at their ends, nothing is read."""
    nodes = [1, *map(len, arrays.token)]
    children = [*map(len, arrays.token), len(arrays.order)]
    for depth, (starts, number) in enumerate(zip(arrays.starts, zip(nodes, children, strict=True), strict=True)):
        whole = len(starts.begin) > 0 and (starts.listed is None or len(starts.listed) == len(starts.begin))
        if not whole or (starts.num_nodes, starts.num_children) != number:
            raise TrieFileError(
                f"{folder / f'begin{depth}.bin'} does not fit the other arrays: {number[0]} nodes of depth {depth} and "
                f"{number[1]} children were expected; {REMEDY}"
            )
    if len(header.fanout) != len(header.level_sizes) or len(arrays.position) < len(arrays.order):
        raise TrieFileError(f"{folder / HEADER} does not fit its arrays; {REMEDY}")


def _read_array(path: Path, about: dict[str, Any], mmap: bool) -> ndarray:
    dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
    expected = dtype.itemsize * int(np.prod(shape))
    if not path.is_file() or path.stat().st_size != expected:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no such file"
        raise TrieFileError(f"{path}: expected {expected} bytes, found {found}; {REMEDY}")
    # Copy-on-write: torch wants writable memory, and the file must stay as it is.
    array = np.memmap(path, dtype, "c", shape=shape) if mmap else np.fromfile(path, dtype).reshape(shape)
    return np.asarray(array)


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


def _sync(folder: Path) -> None:
    """Have the names in a folder written, so that they outlive a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; a folder cannot be renamed over one that holds files."""
    old = folder.with_name(f"{fresh.name}.old")
    if not folder.exists():
        fresh.rename(folder)
        return
    folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
