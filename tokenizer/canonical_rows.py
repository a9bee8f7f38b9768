"""An order of the rows that depends on what is in them, so that a fit does not depend on how the input came."""

import numpy as np
from jaxtyping import Float, Int, UInt64
from numpy import ndarray

_CHUNK_ITEMS = 16_384


def canonical_rows(
    embeddings: Float[ndarray, "items dim"], *, seed: int, max_items: int | None = None
) -> Int[ndarray, " rows"]:
    """Rows by a seeded hash of their content; the first `max_items` of them are a sample, the same for any order.

    Rows of equal content have equal hashes; which of them comes first makes no difference to what is read.
    """
    order = np.argsort(row_hashes(embeddings, seed=seed), kind="stable")
    return order if max_items is None else order[:max_items]


def row_hashes(embeddings: Float[ndarray, "items dim"], *, seed: int) -> UInt64[ndarray, " items"]:
    """A number per row, equal for equal float32 content.

    Multiply-add over the bits (Dietzfelbinger 1996: random odd factors, modulo 2^64), the high half mixed into the low.
    """
    factors = np.random.default_rng(seed).integers(1, 2**63, size=embeddings.shape[1], dtype=np.uint64) * 2 + 1
    hashes = np.empty(len(embeddings), dtype=np.uint64)
    for start in range(0, len(embeddings), _CHUNK_ITEMS):
        part = np.ascontiguousarray(embeddings[start : start + _CHUNK_ITEMS], dtype=np.float32) + np.float32(0)  # no -0
        hashes[start : start + len(part)] = (part.view(np.uint32) * factors).sum(axis=1, dtype=np.uint64)
    return (hashes ^ (hashes >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
