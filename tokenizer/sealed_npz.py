"""An .npz file whose zip comment is the SHA-256 of all before it: zip itself checks contents, but not its headers."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy import ndarray

from tokenizer.checkpoint import write_atomically

_DIGITS = 64
_LENGTH = _DIGITS.to_bytes(2, "little")
"""How long the comment is: stands before it, and is 0 in a file that has none."""


def write_sealed_npz(path: Path, arrays: Mapping[str, ndarray]) -> None:
    """Write the arrays, all or nothing; `numpy.load` reads them too."""

    def write(file: BinaryIO) -> None:
        np.savez(file, allow_pickle=False, **arrays)
        size = file.seek(-len(_LENGTH), os.SEEK_END)
        seal = _sum_of_first(file, size)
        file.seek(size)
        file.write(_LENGTH + seal)

    write_atomically(path, write)


def read_sealed_npz(path: Path) -> dict[str, ndarray]:
    """Every array of the file; `ValueError` unless it is as `write_sealed_npz` wrote it."""
    with path.open("rb") as file:
        size = max(file.seek(0, os.SEEK_END) - _DIGITS - len(_LENGTH), 0)
        seal = _sum_of_first(file, size)
        if file.read() != _LENGTH + seal:
            raise ValueError("it does not end in its own SHA-256")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def _sum_of_first(file: BinaryIO, size: int) -> bytes:
    """SHA-256 (hex) of so many bytes; the file stands behind them then."""
    digest, left = hashlib.sha256(), size
    file.seek(0)
    while left and (part := file.read(min(left, 1 << 20))):
        digest.update(part)
        left -= len(part)
    return digest.hexdigest().encode()
