"""An .npz file whose zip comment is the SHA-256 of all before it: zip itself checks contents, but not its headers."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy import ndarray

from tokenizer.checkpoint import write_atomically

_DIGITS = 64
_NO_COMMENT = (0).to_bytes(2, "little")
"""What a zip file without a comment ends in: the length of its comment."""


def write_sealed_npz(path: Path, arrays: Mapping[str, ndarray]) -> None:
    """Write the arrays, all or nothing; `numpy.load` reads them too."""
    zipped = io.BytesIO()
    np.savez(zipped, allow_pickle=False, **arrays)
    body = zipped.getvalue().removesuffix(_NO_COMMENT)
    write_atomically(path, lambda file: file.write(body + _DIGITS.to_bytes(2, "little") + _seal(body)))


def read_sealed_npz(path: Path) -> dict[str, ndarray]:
    """Every array of the file; `ValueError` unless it is as `write_sealed_npz` wrote it."""
    written = path.read_bytes()
    body, length = written[: -_DIGITS - len(_NO_COMMENT)], _DIGITS.to_bytes(2, "little")
    if written != body + length + _seal(body):
        raise ValueError("it does not end in its own SHA-256")
    with np.load(io.BytesIO(written), allow_pickle=False) as arrays:
        return dict(arrays)


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
