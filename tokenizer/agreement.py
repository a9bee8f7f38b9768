"""How far two ways of grouping the items agree: codes of the first level, and categories."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

ADJUSTED_ITEMS = 100_000
"""The adjusted figure is that of so many items at most, drawn once and for all: its time grows with codes x categories
x items, and the sample moves it by about a thousandth."""


class Agreement(NamedTuple):
    """Mutual information of codes and categories over the mean of their entropies (arithmetic normalisation)."""

    normalised: float
    """NMI: 0 where the one says nothing about the other, 1 where they are the same groups. Rises with the number of
    groups even by chance: compare it between codebooks of one size only."""
    adjusted: float
    """AMI: the same less what chance gives (Vinh, Epps & Bailey 2010, JMLR 11): about 0 for random codes, 1 for the
    same groups."""
    num_items: int
    """Items whose category is known; only they count."""


def category_agreement(codes: Int[ndarray, " items"], categories: Sequence[str] | ndarray) -> Agreement | None:
    """Agreement of one level's codes with the categories; None where fewer than two categories are known.

    An empty category is unknown: its item is left out.

    Raises:
        ValueError: another number of categories than of codes.
    """
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    if len(categories) != len(codes):
        raise ValueError(
            f"expected a category for each of the {len(codes)} items, but got {len(categories)}; "
            "give '' where it is unknown"
        )
    number_of: dict[str, int] = {}
    numbers = np.array([number_of.setdefault(name, len(number_of)) if name else -1 for name in categories])
    known = np.flatnonzero(numbers >= 0)
    if len(number_of) < 2:
        return None
    some = known
    if len(known) > ADJUSTED_ITEMS:
        some = np.random.default_rng(0).choice(known, ADJUSTED_ITEMS, replace=False)
    normalised = normalized_mutual_info_score(numbers[known], codes[known])
    adjusted = adjusted_mutual_info_score(numbers[some], codes[some])
    return Agreement(min(1.0, float(normalised)), min(1.0, float(adjusted)), len(known))  # rounding may lead beyond 1
