"""A catalogue's version on disk: `version.json`, and beside it the trie that it names, as PrefixTrie saves itself.

A save writes a new trie, then replaces the one file that names it: whatever happens between, the folder holds the
older version or the newer one.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from trie.files import TrieFileError
from trie.prefix_trie import PrefixTrie

FORMAT = "trie-version-1"
VERSION = "version.json"


class SavedVersion(NamedTuple):
    """What a version is made of."""

    trie: PrefixTrie
    number: int
    next_row: int
    """The first row number that was never given."""
    stock: Int64[ndarray, " words"]
    """`Bitmap.words` of the rows that were not deleted."""


def write_version(folder: Path, version: SavedVersion) -> None:
    """Write a version; replaces an older one there. ValueError where `folder` holds other files."""
    if not (folder / VERSION).exists() and folder.exists() and any(not _is_trie(path) for path in folder.iterdir()):
        raise ValueError(f"{folder} holds files that are not a catalogue; choose another folder")
    name = f"trie-{uuid.uuid4().hex}"
    about = {"format": FORMAT, "number": version.number, "next_row": version.next_row, "trie": name}
    about["stock"] = base64.b64encode(version.stock.astype("<i8").tobytes()).decode()
    version.trie.save(folder / name)
    _replace(folder / VERSION, json.dumps(about | {"sha256": _sha256(about)}, indent=1).encode())
    for path in folder.iterdir():
        if _is_trie(path) and path.name != name:
            shutil.rmtree(path, ignore_errors=True)


def read_version(folder: Path, *, mmap: bool, verify: bool) -> SavedVersion:
    """The version that `write_version` wrote; TrieFileError names the file that is missing or damaged."""
    path = folder / VERSION
    try:
        about = json.loads(path.read_bytes())
        found = about.pop("sha256")
        if about["format"] != FORMAT:
            raise TrieFileError(f"{path}: expected format {FORMAT}, found {about['format']}; save the catalogue again")
        if verify and found != _sha256(about):
            raise TrieFileError(f"{path} is damaged: SHA-256 {_sha256(about)}, but it says {found}")
        name, number, next_row = str(about["trie"]), int(about["number"]), int(about["next_row"])
        stock = np.frombuffer(base64.b64decode(about["stock"], validate=True), "<i8").astype(np.int64)
    except FileNotFoundError:
        raise TrieFileError(f"{path} is missing; save the catalogue again") from None
    except TrieFileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrieFileError(f"{path} is damaged: {error!r}") from None
    return SavedVersion(PrefixTrie.load(folder / name, mmap=mmap, verify=verify), number, next_row, stock)


def _is_trie(path: Path) -> bool:
    """Is it a trie that a save wrote, or began to? By a name that nobody else would choose."""
    return path.is_dir() and re.match(r"\.?trie-[0-9a-f]{32}\b", path.name) is not None


def _sha256(about: dict) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write, sync and rename, so that the file is the old or the new one."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    entries = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)
