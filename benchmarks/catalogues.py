"""Made catalogues: rows of codes, some codes far more frequent than others, as in real ones."""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

CODES_PER_LEVEL = 256
SKEW = 0.7


def skewed_codes(
    num_items: int, *, num_levels: int = 4, skew: float = SKEW, seed: int = 0
) -> UInt8[ndarray, "items levels"]:
    """Different rows in random order; on each level the r-th most frequent code comes r ** -skew as often as the first.

    ValueError for more than a tenth of the rows that there can be.
    """
    if num_items * 10 > CODES_PER_LEVEL**num_levels:
        raise ValueError(f"{num_items} rows are too many of {CODES_PER_LEVEL}**{num_levels} to be drawn by chance")
    random = np.random.default_rng(seed)
    weights = np.arange(1, CODES_PER_LEVEL + 1) ** -skew
    limits = np.cumsum(weights / weights.sum())
    names = [random.permutation(CODES_PER_LEVEL) for _ in range(num_levels)]
    keys = np.empty(0, dtype=np.uint64)
    while len(keys) < num_items:
        drawn = np.zeros(num_items + num_items // 4, dtype=np.uint64)
        for name in names:
            codes = np.minimum(np.searchsorted(limits, random.random(len(drawn))), CODES_PER_LEVEL - 1)
            drawn = drawn * CODES_PER_LEVEL + name[codes].astype(np.uint64)
        keys = np.unique(np.concatenate([keys, drawn]))
    keys = random.permutation(keys)[:num_items]
    levels = [(keys >> np.uint64(8 * level)) & np.uint64(255) for level in reversed(range(num_levels))]
    return np.stack(levels, axis=1).astype(np.uint8)
