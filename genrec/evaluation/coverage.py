"""How much of the catalogue all lists of ten together show, and whether they are all the same list."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int64
from numpy import ndarray

from tokenizer.code_usage import gini

LIST_LENGTH = 10
POPULAR = 0.1
"""Share of the catalogue that counts as popular."""


class Coverage(NamedTuple):
    """Of one method, over the lists of all cases."""

    distinct_items: int
    """Items that are in any list."""
    share_of_items: float
    """The same as a share of the catalogue."""
    gini: float
    """Of how often each item is listed: 0 where all are listed alike, 1 - 1/items where one has every place."""
    collapsed: bool
    """Whether `distinct_items` is below `fewest_distinct_items`."""


def coverage_of(times_listed: Int64[ndarray, " items"], *, num_lists: int) -> Coverage:
    """The figures of lists that hold each item so many times.

    Raises:
        ValueError: no list has an item.
    """
    if not times_listed.any():
        raise ValueError("expected lists with at least one item, got empty ones only: check filters and stock")
    distinct = int(np.count_nonzero(times_listed))
    fewest = fewest_distinct_items(num_items=len(times_listed), num_lists=num_lists)
    return Coverage(distinct, distinct / len(times_listed), gini(times_listed), distinct < fewest)


def fewest_distinct_items(*, num_items: int, num_lists: int) -> float:
    """With fewer different items over all lists a model is taken for collapsed: everybody gets the same.

    Five lists' worth of items, or 1 % of the catalogue if that is more: the same list for all, less each one's own
    history, is rarely longer. But no more than half of what the catalogue and the lists can hold at all.
    """
    most_possible = min(num_items, num_lists * LIST_LENGTH)
    return min(max(5.0 * LIST_LENGTH, 0.01 * num_items), most_possible / 2)


def times_listed(rows: Int[ndarray, "cases list"], *, num_items: int) -> Int64[ndarray, " items"]:
    """How many of the lists (best first, -1 behind their ends) have each item among their first ten."""
    heads = rows[:, :LIST_LENGTH]
    return np.bincount(heads[heads >= 0], minlength=num_items)


def times_listed_by_scores(scores: Float[ndarray, "cases items"]) -> Int64[ndarray, " items"]:
    """The same of the lists that scores make: the ten highest of each case, but none of -inf.

    Where the last places are tied they go to the first rows, the same for every case, as a list that is shown must
    choose: a constant score shows everybody the same ten items.
    """
    num_items = scores.shape[1]
    length = min(LIST_LENGTH, num_items)
    last = np.partition(scores, num_items - length, axis=1)[:, [num_items - length]]
    above = scores > last
    tied = (scores == last) & np.isfinite(last)
    room = length - above.sum(axis=1, keepdims=True)
    return (above | (tied & (np.cumsum(tied, axis=1) <= room))).sum(axis=0)


def popular_items(taken: Int64[ndarray, " items"]) -> Float64[ndarray, " items"]:
    """1 for the tenth of the items that is taken most often, 0 for the others.

    Items that tie at its edge have equal parts of what is left, so that no order of rows decides. Sums to the tenth,
    rounded up.
    """
    room = math.ceil(POPULAR * len(taken))
    edge = np.sort(taken)[::-1][room - 1]
    above, tied = taken > edge, taken == edge
    return above + tied * ((room - above.sum()) / tied.sum())


def share_of_popular(times: Int64[ndarray, " items"], popular: Float64[ndarray, " items"]) -> float:
    """Share of all these places that popular items have; a tenth would be theirs if all items were treated alike."""
    return float(times @ popular / times.sum())
