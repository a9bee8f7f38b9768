"""Squared distances in float64, and the code that is nearest whatever else is in the batch."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

_CHUNK_POINTS = 512
"""So many rows of distances to 256 codes stay in the cache."""
_ROUNDING = 1e-12


def squared_distances(
    points: Float[ndarray, "points dim"], codebook: Float[ndarray, "codes dim"]
) -> Float[ndarray, "points codes"]:
    """Squared distance (float64, at least 0) of every point to every code."""
    points, codebook = points.astype(np.float64, copy=False), codebook.astype(np.float64, copy=False)
    distances = -2 * (points @ codebook.T)
    distances += np.square(points).sum(axis=1, keepdims=True)
    distances += np.square(codebook).sum(axis=1)
    return np.maximum(distances, 0, out=distances)


def nearest(points: Float[ndarray, "points dim"], codebook: Float[ndarray, "codes dim"]) -> Int[ndarray, " points"]:
    """Index of the code closest to each point.

    Codes that are equally close up to the rounding of a float64 are a tie, which goes to the lowest index: how a
    product is rounded depends on how many points are multiplied at once, and must not decide.
    """
    codes = np.empty(len(points), dtype=np.int64)
    wide = codebook.astype(np.float64, copy=False)
    turned, lengths = -2 * wide.T, np.square(wide).sum(axis=1)
    for start in range(0, len(points), _CHUNK_POINTS):
        part = points[start : start + _CHUNK_POINTS].astype(np.float64, copy=False)
        # |x - c|^2 without |x|^2, which is the same for every code
        distances = part @ turned + lengths
        dust = _ROUNDING * (np.square(part).sum(axis=1) + lengths.max())
        ties = distances <= (distances.min(axis=1) + dust)[:, None]
        codes[start : start + _CHUNK_POINTS] = ties.argmax(axis=1)
    return codes
