"""What a quantiser made of some vectors, and the figures of it."""

from typing import Any, NamedTuple

from jaxtyping import Float, Float32, Int
from numpy import ndarray

from tokenizer import health


class Coded(NamedTuple):
    """Codes of all items, what they stand for, and how long it took."""

    codes: Int[ndarray, "items levels"]
    level_sizes: tuple[int, ...]
    reconstruction: Float[ndarray, "items dim"]
    """In the units of the vectors."""
    fit_seconds: float
    encode_seconds: float


def figures_of(coded: Coded, vectors: Float32[ndarray, "items dim"]) -> dict[str, Any]:
    """Relative error, usage per level, share of items with codes of their own, and seconds of one run."""
    found = health(coded.codes, coded.level_sizes, embeddings=vectors, reconstruction=coded.reconstruction)
    return {
        "error": found.relative_error,
        "usage": list(found.usage),
        "unique": found.unique_share,
        "fit_seconds": coded.fit_seconds,
        "encode_seconds": coded.encode_seconds,
        "seconds": coded.fit_seconds + coded.encode_seconds,
    }
