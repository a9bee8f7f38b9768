"""IDs of their own for items that share all codes: which strategies there are, and the extra code."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Int, Int32
from numpy import ndarray

from tokenizer.balance import balanced
from tokenizer.code_groups import group_numbers, in_hash_order, places_in_groups, shared_rows
from tokenizer.last_level import LastLevelDistances
from tokenizer.nearest_free import nearest_free

Collisions = Literal["extra_code", "balanced", "nearest_free", "keep"]


def told_apart(
    codes: Int32[ndarray, "items levels"],
    level_sizes: tuple[int, ...],
    item_ids: ndarray | None,
    collisions: Collisions,
    distances: LastLevelDistances | None,
) -> tuple[Int32[ndarray, "items id_length"], tuple[int, ...]]:
    """IDs of items with these codes, and their level sizes, which grow by the extra level where there is one.

    Raises:
        ValueError: an unknown strategy, one that needs distances where there are none, distances of another shape or
            not finite.
    """
    check_collisions(collisions)
    if collisions in ("nearest_free", "balanced"):
        if distances is None:
            raise ValueError(
                f"collisions {collisions!r} needs last_level_distances, which only a fitted tokenizer can give; use "
                "SemanticIDs.from_tokenizer, or 'extra_code' or 'keep' for ready-made codes"
            )
        choose = nearest_free if collisions == "nearest_free" else balanced
        codes = choose(codes, level_sizes[-1], distances=distances, item_ids=item_ids)
    extra = extra_codes(codes, item_ids) if collisions != "keep" else np.zeros(0, dtype=np.int32)
    if extra.any():
        return np.column_stack([codes, extra]), (*level_sizes, int(extra.max()) + 1)
    return codes, level_sizes


def check_collisions(collisions: str) -> None:
    """Raises ValueError for a strategy that is unknown."""
    if collisions not in get_args(Collisions):
        raise ValueError(f"collisions must be one of {', '.join(get_args(Collisions))}, but is {collisions!r}")


def extra_codes(codes: Int[ndarray, "items levels"], item_ids: ndarray | None) -> Int32[ndarray, " items"]:
    """Number of every row among those of its codes, by hash of the item_id: 0 for the first, or for one alone."""
    groups = group_numbers(codes)
    shared = in_hash_order(shared_rows(groups), item_ids)
    places = np.zeros(len(codes), dtype=np.int32)
    places[shared] = places_in_groups(groups[shared])
    return places
