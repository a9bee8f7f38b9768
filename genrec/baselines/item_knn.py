"""Recommend what was taken by the same users as the items of the history.

The similarity of two items is the shrunk cosine of their columns in the binary user-item matrix of the training parts,
users_of_both / (sqrt(users_of_a * users_of_b) + shrinkage); see Sarwar et al. 2001, Deshpande & Karypis 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray
from scipy.sparse import csr_array, vstack

from genrec.baselines.counting import recent_items, training_parts, weighted_sums
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits

ITEMS_AT_ONCE = 512  # bounds the memory of fitting: this many rows of the co-occurrence matrix, before they are cut


@dataclass(frozen=True)
class ItemKNNConfig:
    """How neighbours are found and asked."""

    num_neighbours: int = 200
    """Nearest items that each item keeps; all of those that tie with the last one are kept too."""
    shrinkage: float = 10.0
    """Added to the cosine's denominator, in users: it takes weight from similarities that few users support."""
    max_history_items: int = 5
    """How many of the newest items of a history are asked, each once however often it is among them; few, because
    interests drift."""

    def __post_init__(self) -> None:
        for name, value in (("num_neighbours", self.num_neighbours), ("max_history_items", self.max_history_items)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 <= self.shrinkage < np.inf:
            raise ValueError(f"shrinkage must be a number of users >= 0, got {self.shrinkage}")


class ItemKNN:
    """Each history item votes for its nearest neighbours with their similarity; an item is no neighbour of itself."""

    def __init__(self, config: ItemKNNConfig = ItemKNNConfig()) -> None:
        self.config = config
        self._similarities: csr_array | None = None
        self._num_items = 0

    def fit(self, interactions: Interactions, splits: Splits) -> "ItemKNN":
        """Find every item's nearest neighbours, a slice of the items at a time."""
        users, items = training_parts(interactions, splits)
        shape = (interactions.num_users, interactions.num_items)
        self._num_items = interactions.num_items
        taken = _binary(csr_array((np.ones(len(items)), (users, items)), shape=shape))
        taken_by = taken.T.tocsr()
        num_users = taken_by.sum(axis=1)
        slices = []
        for start in range(0, interactions.num_items, ITEMS_AT_ONCE):
            together = taken_by[start : start + ITEMS_AT_ONCE] @ taken
            cosines = _shrunk_cosines(together, num_users, first_row=start, shrinkage=self.config.shrinkage)
            slices.append(_strongest(cosines, self.config.num_neighbours))
        self._similarities = csr_array(vstack(slices))
        return self

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Summed similarities to the distinct newest items of each history; zeros after an empty history.

        Raises:
            ValueError: `fit` was not called before, or a history holds a row that is not in the catalogue.
        """
        if self._similarities is None:
            raise ValueError("ItemKNN has no neighbours yet: call fit(interactions, splits) first")
        cases, items, _ = recent_items(histories, max_items=self.config.max_history_items)
        asked = _binary(csr_array((np.ones(len(items)), (cases, items)), shape=(len(histories), self._num_items)))
        return weighted_sums(asked, self._similarities)


def _binary(counts: csr_array) -> csr_array:
    """Ones where there is anything; changes the matrix in place."""
    counts.sum_duplicates()
    counts.data[:] = 1.0
    return counts


def _shrunk_cosines(
    together: csr_array, num_users: Float64[ndarray, " items"], *, first_row: int, shrinkage: float
) -> csr_array:
    """Similarities [slice, items] of a slice of the items, from `first_row` on, to all the other items.

    `together` [slice, items] counts the users whom two items share.
    """
    pairs = together.tocoo()
    rows, columns = pairs.coords
    of_others = rows + first_row != columns
    rows, columns, shared = rows[of_others], columns[of_others], pairs.data[of_others]
    cosines = shared / (np.sqrt(num_users[rows + first_row] * num_users[columns]) + shrinkage)
    return csr_array((cosines, (rows, columns)), shape=together.shape)


def _strongest(similarities: csr_array, num_kept: int) -> csr_array:
    """Each row's `num_kept` largest entries and all that tie with the last of them, so that ties are not cut by row."""
    lengths = np.diff(similarities.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    values = np.asarray(similarities.data, dtype=np.float64)
    descending = values[np.lexsort((-values, rows))]
    crowded = lengths > num_kept
    smallest_kept = np.zeros(len(lengths))
    smallest_kept[crowded] = descending[similarities.indptr[:-1][crowded] + num_kept - 1]
    kept = values >= smallest_kept[rows]
    return csr_array((values[kept], (rows[kept], similarities.indices[kept])), shape=similarities.shape)
