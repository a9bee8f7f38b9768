"""Which part of every sequence trains, validates and tests."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray

from genrec.data.interactions import Interactions
from genrec.errors import DataError


@dataclass(frozen=True)
class Splits:
    """Cuts in every sequence, as positions in `Interactions.items`.

    User `u` trains on [offsets[u], train_end[u]), validates on [train_end[u], validation_end[u]) and tests on
    [validation_end[u], offsets[u + 1]).
    """

    train_end: Int64[ndarray, " users"]
    validation_end: Int64[ndarray, " users"]


class Cases(NamedTuple):
    """Questions to a recommender: user `users[i]` has seen items[offsets[user]:ends[i]]; next is items[ends[i]]."""

    users: Int64[ndarray, " cases"]
    ends: Int64[ndarray, " cases"]

    def at(self, chosen: Int[ndarray, " chosen"] | slice) -> "Cases":
        """Some of the cases, in the order in which they are chosen."""
        return Cases(self.users[chosen], self.ends[chosen])


def leave_one_out(interactions: Interactions) -> Splits:
    """The last interaction of every user tests, the one before validates; users with fewer than three only train."""
    ends = interactions.offsets[1:]
    tested = np.diff(interactions.offsets) >= 3
    return Splits(train_end=ends - 2 * tested, validation_end=ends - tested)


def global_time(interactions: Interactions, *, validation_from_unix_s: int, test_from_unix_s: int) -> Splits:
    """Cuts at the same two moments for all: earlier trains, from the first on validates, from the second on tests."""
    if validation_from_unix_s > test_from_unix_s:
        raise ValueError(
            f"the validation must begin before the test, but {validation_from_unix_s} is after {test_from_unix_s}"
        )
    if interactions.times is None:
        raise DataError(
            "a split by global time needs the time of every interaction, but the data has none. "
            "Name the time column in data.columns.time, or choose data.split: leave_one_out"
        )
    return Splits(
        train_end=_first_from(interactions.offsets, interactions.times, validation_from_unix_s),
        validation_end=_first_from(interactions.offsets, interactions.times, test_from_unix_s),
    )


def _first_from(
    offsets: Int64[ndarray, " users_plus_1"], times: Int64[ndarray, " interactions"], moment_unix_s: int
) -> Int64[ndarray, " users"]:
    """Every user's first position that is not before the moment."""
    earlier = np.concatenate([[0], np.cumsum(times < moment_unix_s)])
    return offsets[:-1] + earlier[offsets[1:]] - earlier[offsets[:-1]]


def validation_cases(interactions: Interactions, splits: Splits) -> Cases:
    """The first validation interaction of every user who has one and has a history before it."""
    return _first_cases(interactions, splits.train_end, splits.validation_end)


def test_cases(interactions: Interactions, splits: Splits) -> Cases:
    """The first test interaction of every user who has one and has a history before it (validation items included)."""
    return _first_cases(interactions, splits.validation_end, interactions.offsets[1:])


# pytest would collect it in every test module that imports it
test_cases.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def _first_cases(interactions: Interactions, begin: Int64[ndarray, " users"], end: Int64[ndarray, " users"]) -> Cases:
    users = np.flatnonzero((end > begin) & (begin > interactions.offsets[:-1]))
    return Cases(users=users, ends=begin[users])


def sampled_numbers(count: int, *, at_most: int, seed: int) -> Int64[ndarray, " sampled"]:
    """0..count - 1, or a seeded sample of it, ascending."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size=at_most, replace=False))
