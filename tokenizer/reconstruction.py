"""How far decoded codes are from the embeddings, chunk by chunk: no float64 copy of a whole table."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy import ndarray

from tokenizer.contract import ENCODE_ITEMS, Decoder

CONSTANT_SHARE = 1e-12
"""Spread below this share of the squared lengths is rounding, not a difference between items."""


class Compared(NamedTuple):
    """Two numbers for each item."""

    squared_errors: Float64[ndarray, " items"]
    """Squared distance between embedding and reconstruction."""
    cosines: Float64[ndarray, " items"]
    """Cosine between the two; 0 where one of them is the zero vector."""


def compared(
    embeddings: Float[ndarray, "items dim"], reconstruction: ndarray | Iterable[ndarray], *, name: str = "embeddings"
) -> Compared:
    """Errors and cosines of a table, or of its consecutive chunks (`decoded_chunks`).

    Raises:
        ValueError: the reconstruction has another width or number of rows, or a value is not finite.
    """
    errors, cosines = np.empty(len(embeddings)), np.empty(len(embeddings))
    start = 0
    for part in _chunks(reconstruction):
        stop = start + len(part)
        if stop > len(embeddings) or part.shape[1:] != embeddings.shape[1:]:
            raise ValueError(
                f"expected a reconstruction of shape {embeddings.shape}, but from row {start} on it is {part.shape}"
            )
        errors[start:stop], cosines[start:stop] = _compared(embeddings[start:stop], part)
        start = stop
    if start < len(embeddings):
        raise ValueError(f"the reconstruction has {start} rows for {len(embeddings)} {name}; decode all codes")
    bad_rows = np.flatnonzero(~np.isfinite(errors))
    if len(bad_rows):
        raise ValueError(
            f"{len(bad_rows)} {name} or their reconstructions hold NaN or infinity (first: row {bad_rows[0]}); "
            "embed those items again or leave them out"
        )
    return Compared(errors, cosines)


def decoded_chunks(decoder: Decoder, codes: Int[ndarray, "items levels"]) -> Iterator[ndarray]:
    """`decode` of the codes, a part of the items at a time."""
    for start in range(0, len(codes), ENCODE_ITEMS):
        yield decoder.decode(codes[start : start + ENCODE_ITEMS])


def squared_spread(embeddings: Float[ndarray, "items dim"]) -> float:
    """Sum of the squared distances to the mean embedding; exactly 0 where all items are alike."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    spread = sum(float(np.square(part - mean).sum()) for part in _chunks(embeddings))
    lengths = spread + len(embeddings) * float(np.square(mean).sum())
    return spread if spread > CONSTANT_SHARE * lengths else 0.0


class Quality(NamedTuple):
    """Reconstruction of a whole table in two numbers."""

    relative_error: float
    cosine: float


def reconstruction_quality(
    embeddings: Float[ndarray, "items dim"], reconstruction: ndarray | Iterable[ndarray]
) -> Quality:
    """Squared error over that of the mean embedding, and mean cosine, in one pass.

    Where all embeddings are alike the error is 0 if they are met and 1 if not.
    """
    items = compared(embeddings, reconstruction)
    error, spread = float(items.squared_errors.sum()), squared_spread(embeddings)
    return Quality(error / spread if spread > 0 else float(error > 0), float(items.cosines.mean()))


def relative_error(embeddings: Float[ndarray, "items dim"], reconstruction: ndarray | Iterable[ndarray]) -> float:
    """The error of `reconstruction_quality`: 0 is perfect, 1 is no better than the mean embedding."""
    return reconstruction_quality(embeddings, reconstruction).relative_error


def mean_cosine(embeddings: Float[ndarray, "items dim"], reconstruction: ndarray | Iterable[ndarray]) -> float:
    """The cosine of `reconstruction_quality`: a zero vector counts as 0."""
    return reconstruction_quality(embeddings, reconstruction).cosine


def _compared(embeddings: Float[ndarray, "items dim"], decoded: Float[ndarray, "items dim"]) -> Compared:
    one, other = embeddings.astype(np.float64), decoded.astype(np.float64)
    with np.errstate(invalid="ignore"):  # what is not finite is refused by the caller
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines = np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)
        return Compared(np.square(one - other).sum(axis=1), cosines)


def _chunks(table: ndarray | Iterable[ndarray]) -> Iterable[ndarray]:
    if not isinstance(table, ndarray):
        return table
    return (table[start : start + ENCODE_ITEMS] for start in range(0, len(table), ENCODE_ITEMS))
