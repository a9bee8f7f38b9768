"""The nearest last code that is free, for items that share all codes with a nearer one."""

import numpy as np
from jaxtyping import Int, Int32
from numpy import ndarray

from tokenizer.code_groups import group_numbers, in_hash_order, places_in_groups, shared_rows
from tokenizer.last_level import LastLevelDistances, measured, measured_groups


def nearest_free(
    codes: Int32[ndarray, "items levels"],
    num_codes: int,
    *,
    distances: LastLevelDistances,
    item_ids: ndarray | None,
) -> Int32[ndarray, "items levels"]:
    """The codes, where of equal ones only the nearest item keeps them; the others take the nearest last code to spare.

    These go nearest to their own code first, and each takes the nearest code that no item has under its prefix (all
    codes but the last). Equal distances: first the lower hash of the item_id, the lower code. Items that find none
    free stay where they were. An item alone on its codes keeps them.

    Raises:
        ValueError: distances of another shape or not finite.
    """
    prefixes = group_numbers(codes[:, :-1])
    movers = _movers(codes, prefixes, num_codes, distances=distances, item_ids=item_ids)
    moved = codes.copy()
    for rows, to_codes in measured_groups(movers, prefixes[movers], distances, num_codes):
        of_batch, places = np.unique(prefixes[rows], return_inverse=True)
        neighbours = np.flatnonzero(np.isin(prefixes, of_batch))
        free = np.ones((len(of_batch), num_codes), dtype=bool)
        free[np.searchsorted(of_batch, prefixes[neighbours]), codes[neighbours, -1]] = False
        for row, place, row_to_codes in zip(rows, places, to_codes, strict=True):
            code = np.where(free[place], row_to_codes, np.inf).argmin()
            moved[row, -1] = code
            free[place, code] = False
    return moved


def _movers(
    codes: ndarray, prefixes: ndarray, num_codes: int, *, distances: LastLevelDistances, item_ids: ndarray | None
) -> Int[ndarray, " rows"]:
    """Rows that leave their code and will find one: prefix by prefix, nearest to their code first."""
    groups = group_numbers(codes)
    shared = in_hash_order(shared_rows(groups), item_ids)
    own = [to_codes[np.arange(len(rows)), codes[rows, -1]] for rows, to_codes in measured(shared, distances, num_codes)]
    nearest_first = shared[np.argsort(np.concatenate([np.empty(0), *own]), kind="stable")]
    movers = nearest_first[places_in_groups(groups[nearest_first]) > 0]
    movers = movers[np.argsort(prefixes[movers], kind="stable")]
    _, one_of_each = np.unique(groups, return_index=True)
    num_free = num_codes - np.bincount(prefixes[one_of_each])
    return movers[places_in_groups(prefixes[movers]) < num_free[prefixes[movers]]]
