"""How far items are from the codes of the last level: asked for rows at a time, so that not all is held at once."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.code_groups import whole_groups
from tokenizer.contract import Tokenizer

LastLevelDistances = Callable[[Int[ndarray, " rows"]], Float[ndarray, "rows codes"]]
"""Rows of a table of codes -> squared distance of each to every code of the last level, its other codes as they are."""

_DISTANCES_AT_ONCE = 2**22
"""32 MB; 16,384 items of 256 codes."""


class DistancesOf(NamedTuple):
    """Distances of some rows, in their order."""

    rows: Int[ndarray, " rows"]
    distances: Float[ndarray, "rows codes"]


def tokenizer_distances(
    tokenizer: Tokenizer, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
) -> LastLevelDistances:
    """The distances of these items, worked out when they are asked for. `codes` are what the tokenizer gave them."""
    return lambda rows: tokenizer.last_level_distances(embeddings[rows], codes[rows])


def measured(rows: Int[ndarray, " rows"], distances: LastLevelDistances, num_codes: int) -> Iterator[DistancesOf]:
    """The rows a part at a time, with their distances. Raises ValueError for another shape or a value not finite."""
    step = max(1, _DISTANCES_AT_ONCE // num_codes)
    for start in range(0, len(rows), step):
        yield checked_distances(rows[start : start + step], distances, num_codes)


def measured_groups(
    rows: Int[ndarray, " rows"], groups: Int[ndarray, " rows"], distances: LastLevelDistances, num_codes: int
) -> Iterator[DistancesOf]:
    """As `measured`, but no group is cut; the groups ascend."""
    for part in whole_groups(groups, max_rows=max(1, _DISTANCES_AT_ONCE // num_codes)):
        yield checked_distances(rows[part], distances, num_codes)


def checked_distances(rows: Int[ndarray, " rows"], distances: LastLevelDistances, num_codes: int) -> DistancesOf:
    """Distances (float64) of the rows. Raises ValueError for another shape or a value not finite."""
    found = np.asarray(distances(rows), dtype=np.float64)
    if found.shape != (len(rows), num_codes):
        raise ValueError(
            f"expected last_level_distances of shape ({len(rows)}, {num_codes}) (rows asked for, codes of the last "
            f"level), but got {found.shape}"
        )
    if not np.isfinite(found).all():
        row = rows[np.flatnonzero(~np.isfinite(found).all(axis=1))[0]]
        raise ValueError(f"last_level_distances of row {row} hold NaN or infinity; check its embedding")
    return DistancesOf(rows, found)
