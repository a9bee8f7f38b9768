"""Which rows have their codes in common, and an order of the rows that does not depend on how they came."""

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from numpy import ndarray


def group_numbers(codes: Int[ndarray, "items levels"]) -> Int[ndarray, " items"]:
    """A number per row, 0, 1, ... in the order of the codes: equal for rows of equal codes (all, without a level)."""
    groups = np.zeros(len(codes), dtype=np.int64)
    if 0 in codes.shape:
        return groups
    by_codes = np.lexsort(codes.T[::-1])
    groups[by_codes[1:]] = np.cumsum((codes[by_codes[1:]] != codes[by_codes[:-1]]).any(axis=1))
    return groups


def shared_rows(groups: Int[ndarray, " items"]) -> Int[ndarray, " rows"]:
    """Rows whose group has another row, ascending."""
    return np.flatnonzero(np.bincount(groups)[groups] > 1)


def places_in_groups(groups: Int[ndarray, " rows"]) -> Int[ndarray, " rows"]:
    """How many rows before each one are of its group: 0 for the first."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    lengths = np.diff(starts, append=len(groups))
    places = np.empty(len(groups), dtype=np.int64)
    places[by_group] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return places


def whole_groups(groups: Int[ndarray, " rows"], *, max_rows: int) -> Iterator[slice]:
    """Stretches of at most `max_rows` rows that cut no group (so one of a larger group is longer).

    The groups are numbered from 0 and ascend.
    """
    borders = np.flatnonzero(np.diff(groups, prepend=-1, append=-2))
    start = 0
    while start < len(groups):
        last_that_fits = np.searchsorted(borders, start + max_rows, side="right") - 1
        next_border = np.searchsorted(borders, start, side="right")
        stop = int(borders[max(last_that_fits, next_border)])
        yield slice(start, stop)
        start = stop


def in_hash_order(rows: Int[ndarray, " rows"], item_ids: ndarray | None) -> Int[ndarray, " rows"]:
    """The rows by the blake2b hash of their item_id, then the item_id; ascending where no ids are known."""
    if item_ids is None:
        return np.sort(rows)
    ids = item_ids[rows]
    hashes = np.fromiter((_hash(item_id) for item_id in ids.tolist()), dtype=np.uint64, count=len(ids))
    order = np.argsort(hashes)
    if len(ids) > 1 and (hashes[order[1:]] == hashes[order[:-1]]).any():  # one in 2^64 pairs
        order = np.lexsort((ids, hashes))
    return rows[order]


def _hash(item_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest())
