"""What the counting baselines share: the training parts, the ends of histories, and sums over a sparse table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray
from scipy.sparse import csr_array

from genrec.data.interactions import Interactions
from genrec.data.splits import Splits


class TrainingParts(NamedTuple):
    """Every user's training interactions one after the other, each user's oldest first."""

    users: Int64[ndarray, " interactions"]
    items: Int[ndarray, " interactions"]


class RecentItems(NamedTuple):
    """The last items of many histories as flat arrays; age 1 is the newest item of its history."""

    cases: Int64[ndarray, " recent"]
    items: Int64[ndarray, " recent"]
    ages: Int64[ndarray, " recent"]


def training_parts(interactions: Interactions, splits: Splits) -> TrainingParts:
    """The interactions that a model may learn from: neither validation nor test ones."""
    users = np.repeat(np.arange(interactions.num_users), np.diff(interactions.offsets))
    in_training = np.arange(interactions.num_interactions) < splits.train_end[users]
    return TrainingParts(users[in_training], interactions.items[in_training])


def recent_items(histories: Sequence[Int[ndarray, " _"]], *, max_items: int) -> RecentItems:
    """The last `max_items` items of each history, repeats included; a case with an empty history has none."""
    ends = [history[-max_items:] for history in histories]
    lengths = np.array([len(end) for end in ends], dtype=np.int64)
    cases = np.repeat(np.arange(len(ends)), lengths)
    items = np.concatenate([np.empty(0, dtype=np.int64), *ends])
    ages = np.cumsum(lengths)[cases] - np.arange(len(items))
    return RecentItems(cases, items, ages)


def weighted_sums(weights: csr_array, table: csr_array) -> Float32[ndarray, "cases items"]:
    """Dense scores: each case's weights [cases, items] times the table's rows [items, items], both float64.

    The sums are rounded to float32 once, at the end, so that sums which are equal on paper stay ties.
    """
    return csr_array(weights @ table, dtype=np.float32).toarray()
