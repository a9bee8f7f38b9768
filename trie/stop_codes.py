"""IDs of different lengths as rows of one length: a stop code ends the shorter ones, and fills the rest of them."""

from collections.abc import Sequence
from itertools import chain
from operator import index
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int64, Integer
from numpy import ndarray

from trie.build import checked_level_sizes

Sequences = Sequence[Sequence[SupportsIndex] | Integer[ndarray, " _"]]  # no name: they differ in length


def with_stop_codes(
    sequences: Sequences, level_sizes: Sequence[SupportsIndex] | None
) -> tuple[Int64[ndarray, "rows length"], tuple[int, ...]]:
    """The padded codes and the sizes of their levels, which after the first are one more than given, for the stop.

    The stop code of a level is its last one. There are as many levels as `level_sizes` has; by default as the longest
    sequence has codes, each of the largest code + 1, before the stop is added. ValueError where a sequence is empty or
    longer than that, or a code is negative or not below its level's size.
    """
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    most = int(lengths.max(initial=1)) if level_sizes is None else len(level_sizes)
    wrong = np.flatnonzero((lengths < 1) | (lengths > most))
    if len(wrong):
        raise ValueError(
            f"expected 1 to {most} codes a sequence, as many as there are levels; "
            f"sequence {wrong[0]} has {lengths[wrong[0]]}: give it another ID or more level_sizes"
        )
    is_given = np.arange(most) < lengths[:, None]
    codes = np.zeros(is_given.shape, dtype=np.int64)
    codes[is_given] = np.fromiter(map(index, chain.from_iterable(sequences)), dtype=np.int64, count=lengths.sum())
    sizes = checked_level_sizes(codes, level_sizes)
    return np.where(is_given, codes, sizes), (sizes[0], *(size + 1 for size in sizes[1:]))
