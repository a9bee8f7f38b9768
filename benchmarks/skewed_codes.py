"""Made semantic IDs: different ones, whose codes are drawn with Zipf's law on every level."""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

LEVELS, LEVEL_SIZE = 4, 256
_DRAW = 1_000_000


def distinct_codes(num_rows: int, *, exponent: float, seed: int) -> UInt8[ndarray, "rows 4"]:
    """Different rows in random order. On each level code c is drawn with weight (c + 1) ** -exponent; 0: uniform."""
    random = np.random.default_rng(seed)
    weights = np.arange(1.0, LEVEL_SIZE + 1) ** -exponent
    edges = np.cumsum(weights)[:-1] / weights.sum()
    drawn = np.empty(0, dtype=np.uint32)
    while len(drawn) < num_rows:
        draws = max(1, min(num_rows, 5 * _DRAW) // _DRAW)
        more = [np.searchsorted(edges, random.random((_DRAW, LEVELS))).astype(np.uint8) for _ in range(draws)]
        drawn = np.unique(np.concatenate([drawn, *(rows.view(np.uint32)[:, 0] for rows in more)]))
    return random.permutation(drawn)[:num_rows, None].view(np.uint8)
