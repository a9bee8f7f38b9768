"""Uniform semantic mapping: the last codes, so that all are in even use and few items share an ID.

After LC-Rec (Zheng et al. 2023, arXiv 2311.09049, "uniform semantic mapping"), which solves an optimal transport over
a batch by Sinkhorn-Knopp. Here the transport gives each code a price, the same for all items, and what still collides
under a prefix is assigned exactly.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Int32
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from tokenizer.code_groups import group_numbers, in_hash_order, places_in_groups, shared_rows
from tokenizer.last_level import LastLevelDistances, measured, measured_groups

PRICED_ITEMS = 65_536
"""Prices are fitted on at most so many items (fewer where the last level has more than 256 codes)."""

_PRICED_DISTANCES = PRICED_ITEMS * 256
_TEMPERATURES = (0.1, 0.03, 0.01)
"""Of the transport, one after the other, in units of the mean way from the nearest to the average code."""
_TOLERANCE = 0.02
_MAX_ROUNDS = 50
_ITEMS_AT_ONCE = 1024
_LEAST_SHARE = 1e-300


def balanced(
    codes: Int32[ndarray, "items levels"],
    num_codes: int,
    *,
    distances: LastLevelDistances,
    item_ids: ndarray | None,
) -> Int32[ndarray, "items levels"]:
    """The codes with the last one chosen anew, of least distance minus price, and different under each prefix.

    Under a prefix (all codes but the last) the sum of distance minus price is the least that different codes allow.
    Items of a prefix that has more of them than the level has codes are assigned so many at a time, by hash of the
    item_id, and so share codes evenly.

    Raises:
        ValueError: distances of another shape or not finite.
    """
    order = in_hash_order(np.arange(len(codes)), item_ids)
    prices = code_prices(_priced_distances(order, num_codes, distances))
    chosen = codes[:, -1].copy()
    for rows, to_codes in measured(order, distances, num_codes):
        chosen[rows] = (to_codes - prices).argmin(axis=1)

    prefixes = group_numbers(codes[:, :-1])
    crowds = np.empty(len(codes), dtype=np.int64)
    crowds[order] = places_in_groups(prefixes[order]) // num_codes
    groups = group_numbers(np.column_stack([prefixes, crowds]))  # of at most num_codes rows
    rows = order[_clashing(groups, chosen)[order]]
    rows = rows[np.argsort(groups[rows], kind="stable")]
    for batch, to_codes in measured_groups(rows, groups[rows], distances, num_codes):
        starts = np.flatnonzero(np.diff(groups[batch])) + 1
        for members, costs in zip(np.split(batch, starts), np.split(to_codes - prices, starts), strict=True):
            chosen[members] = linear_sum_assignment(costs)[1]
    return np.column_stack([codes[:, :-1], chosen])


def code_prices(distances: Float[ndarray, "items codes"]) -> Float[ndarray, " codes"]:
    """What to take off the distances to each code, so that about as many items are nearest to each.

    The potential of the codes in the entropic optimal transport from the items to the codes, both uniform. Sinkhorn's
    rounds with every item's potential put in exactly; from a warm transport to a cold one, each until no code's share
    is off by more than 2 %, or 50 rounds. All 0 where there are fewer items than codes: a fair share is less than
    one item then.
    """
    num_items, num_codes = distances.shape
    prices = np.zeros(num_codes)
    spread = float((distances.mean(axis=1) - distances.min(axis=1)).mean()) if num_items else 0.0
    if num_items < num_codes or spread == 0:
        return prices
    for temperature in _TEMPERATURES:
        for _ in range(_MAX_ROUNDS):
            shares = num_codes * _code_shares(distances, prices, temperature * spread)
            prices -= temperature * spread * np.log(np.maximum(shares, _LEAST_SHARE))
            if np.abs(shares - 1).max() <= _TOLERANCE:
                break
    return prices


def _code_shares(
    distances: Float[ndarray, "items codes"], prices: Float[ndarray, " codes"], temperature: float
) -> Float[ndarray, " codes"]:
    """Share of the items that goes to each code when each item's goes by softmax((price - distance) / temperature)."""
    shares = np.zeros(distances.shape[1])
    for start in range(0, len(distances), _ITEMS_AT_ONCE):
        scores = prices - distances[start : start + _ITEMS_AT_ONCE]
        scores /= temperature
        scores -= scores.max(axis=1, keepdims=True)  # in the log domain: nothing overflows
        np.exp(scores, out=scores)
        shares += (scores / scores.sum(axis=1, keepdims=True)).sum(axis=0)
    return shares / len(distances)


def _priced_distances(order: Int[ndarray, " items"], num_codes: int, distances: LastLevelDistances) -> ndarray:
    """Of the items that the prices are fitted on: a sample spread evenly over the order."""
    num_priced = min(len(order), PRICED_ITEMS, max(1, _PRICED_DISTANCES // num_codes))
    rows = order[np.linspace(0, len(order) - 1, num_priced).astype(np.int64)]
    return np.concatenate([part.distances for part in measured(rows, distances, num_codes)])


def _clashing(groups: Int[ndarray, " items"], chosen: Int32[ndarray, " items"]) -> Bool[ndarray, " items"]:
    """Whether two rows of the row's group chose the same code."""
    clash = np.zeros(len(groups), dtype=bool)
    clash[groups[shared_rows(group_numbers(np.column_stack([groups, chosen])))]] = True
    return clash[groups]
