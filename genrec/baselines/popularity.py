"""Recommend to everybody what most people took."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from genrec.baselines.counting import training_parts
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits


class Popularity:
    """An item's score is its number of training interactions, the same for every history."""

    def __init__(self) -> None:
        self._counts: Float32[ndarray, " items"] | None = None

    def fit(self, interactions: Interactions, splits: Splits) -> "Popularity":
        """Count the training parts; repeats count every time."""
        items = training_parts(interactions, splits).items
        self._counts = np.bincount(items, minlength=interactions.num_items).astype(np.float32)
        return self

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """The counts, once a history.

        Raises:
            ValueError: `fit` was not called before.
        """
        if self._counts is None:
            raise ValueError("Popularity knows no items yet: call fit(interactions, splits) first")
        return np.tile(self._counts, (len(histories), 1))
