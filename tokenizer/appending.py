"""IDs of new items in a table that is in use: no old ID and no level size changes."""

from collections import Counter
from collections.abc import Iterator
from itertools import repeat

import numpy as np
from jaxtyping import Float, Int, Int32, Int64
from numpy import ndarray

from tokenizer.code_groups import group_numbers, in_hash_order
from tokenizer.last_level import LastLevelDistances, measured


def free_ids(
    codes: Int[ndarray, "new levels"],
    table: Int32[ndarray, "items id_length"],
    level_sizes: tuple[int, ...],
    *,
    item_ids: ndarray,
    distances: LastLevelDistances | None,
) -> Int32[ndarray, "new id_length"]:
    """IDs of items with these codes, each its own as long as its prefix (all codes but the last) has one free.

    `levels` is id_length, or one less where the table has an extra level. First every item takes the lowest extra code
    that is free behind its codes. Those that find none take the free ID under their prefix with the lowest extra code
    and, among these, the nearest last code (the lowest, without distances). Under a full prefix an item keeps its
    codes and shares the ID that the fewest items have. The items of a prefix come by hash of the item_id.
    """
    num_levels, rest = codes.shape[1], len(level_sizes) - codes.shape[1]
    num_extra = level_sizes[-1] if rest else 1
    if num_levels > 1:  # few of a large table can share a prefix with few items
        table = table[np.isin(table[:, 0], codes[:, 0])]
    prefixes = group_numbers(np.concatenate([table[:, : num_levels - 1], codes[:, : num_levels - 1]]))
    old, new = prefixes[: len(table)], prefixes[len(table) :]
    by_prefix = np.argsort(old, kind="stable")
    arrivals = in_hash_order(np.arange(len(codes)), item_ids)
    arrivals = arrivals[np.argsort(new[arrivals], kind="stable")]

    given = np.pad(codes, ((0, 0), (0, rest))).astype(np.int32)
    for rows in np.split(arrivals, np.flatnonzero(np.diff(new[arrivals])) + 1) if len(codes) else ():
        start, stop = np.searchsorted(old, new[rows[0]] + np.arange(2), sorter=by_prefix)
        taken = table[by_prefix[start:stop], num_levels - 1 :].tolist()
        leaves = _Leaves(taken if rest else [[code, 0] for (code,) in taken], level_sizes[num_levels - 1], num_extra)
        given[rows, num_levels - 1 :] = _take_leaves(leaves, rows, codes[rows, -1].tolist(), distances)[:, : rest + 1]
    return given


class _Leaves:
    """The IDs under one prefix, as (last code, extra code): how many items have each, and which are free."""

    def __init__(self, taken: list[list[int]], num_codes: int, num_extra: int) -> None:
        self.num_extra = num_extra
        self.residents = Counter((code, extra) for code, extra in taken)
        self.lowest_free = np.zeros(num_codes, dtype=np.int64)  # extra code behind each last code; num_extra: none
        for code, extra in sorted(self.residents):
            self.lowest_free[code] += self.lowest_free[code] == extra

    @property
    def num_free(self) -> int:
        return len(self.lowest_free) * self.num_extra - len(self.residents)

    def take(self, code: int) -> tuple[int, int] | None:
        """The lowest extra code that is free behind this code, now taken."""
        extra = int(self.lowest_free[code])
        if extra == self.num_extra:
            return None
        self.residents[code, extra] += 1
        while (code, int(self.lowest_free[code])) in self.residents:
            self.lowest_free[code] += 1
        return code, extra

    def nearest(self, distances: Float[ndarray, " codes"]) -> int:
        """The nearest of the last codes behind which the lowest extra code is free."""
        return int(np.where(self.lowest_free == self.lowest_free.min(), distances, np.inf).argmin())

    def share(self, code: int) -> tuple[int, int]:
        """The ID of this code that the fewest items have (the lowest of several), one more now."""
        extra = min(range(self.num_extra), key=lambda extra: self.residents[code, extra])
        self.residents[code, extra] += 1
        return code, extra


def _take_leaves(
    leaves: _Leaves, rows: Int[ndarray, " rows"], last_codes: list[int], distances: LastLevelDistances | None
) -> Int64[ndarray, "rows 2"]:
    """Last and extra code of the rows, all of one prefix, in their order."""
    taken = [leaves.take(code) for code in last_codes]
    movers = [place for place, leaf in enumerate(taken) if leaf is None]
    finders = movers[: leaves.num_free]
    for place, to_codes in zip(finders, _to_codes(rows[finders], distances, len(leaves.lowest_free)), strict=True):
        taken[place] = leaves.take(leaves.nearest(to_codes))
    for place in movers[len(finders) :]:
        taken[place] = leaves.share(last_codes[place])
    return np.array(taken)


def _to_codes(
    rows: Int[ndarray, " rows"], distances: LastLevelDistances | None, num_codes: int
) -> Iterator[Float[ndarray, " codes"]]:
    """Distances of one row after the other; all 0 where none are known."""
    if distances is None:
        yield from repeat(np.zeros(num_codes), len(rows))
        return
    for part in measured(rows, distances, num_codes):
        yield from part.distances
