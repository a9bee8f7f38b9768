"""Recommend what came soon after the last items of the history.

Over the training part of every user, for an item a that comes d = 1..window steps before b: T[a, b] += 1 / d.
Then score(b) = the sum over the last items of the history, k = 1 the newest, of T[a_k, b] / k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray
from scipy.sparse import csr_array

from genrec.baselines.counting import recent_items, training_parts, weighted_sums
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits


@dataclass(frozen=True)
class TransitionsConfig:
    """How far counting looks; the defaults are the untuned ones of the published comparison figures."""

    window: int = 4
    """Longest distance, in steps, between two items of a sequence that are counted as a pair."""
    max_history_items: int = 5
    """How many of the newest items of a history give their transitions."""

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("max_history_items", self.max_history_items)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


class Transitions:
    """Counts of which item follows which, weighted by one over their distance; memory grows with the pairs seen."""

    def __init__(self, config: TransitionsConfig = TransitionsConfig()) -> None:
        self.config = config
        self._transitions: csr_array | None = None
        self._num_items = 0

    def fit(self, interactions: Interactions, splits: Splits) -> "Transitions":
        """Count the training parts; an item that follows itself counts like any other."""
        users, items = training_parts(interactions, splits)
        befores, afters, weights = [], [], []
        for distance in range(1, self.config.window + 1):
            one_user = users[:-distance] == users[distance:]
            befores.append(items[:-distance][one_user])
            afters.append(items[distance:][one_user])
            weights.append(np.full(len(befores[-1]), 1.0 / distance))
        pairs = (np.concatenate(befores), np.concatenate(afters))
        self._num_items = interactions.num_items
        shape = (self._num_items, self._num_items)
        self._transitions = csr_array((np.concatenate(weights), pairs), shape=shape)  # sums the weights of equal pairs
        return self

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Weighted transitions from the newest items of each history; zeros after an empty history.

        Raises:
            ValueError: `fit` was not called before, or a history holds a row that is not in the catalogue.
        """
        if self._transitions is None:
            raise ValueError("Transitions has counted nothing yet: call fit(interactions, splits) first")
        cases, items, ages = recent_items(histories, max_items=self.config.max_history_items)
        recency = csr_array((1.0 / ages, (cases, items)), shape=(len(histories), self._num_items))
        return weighted_sums(recency, self._transitions)
