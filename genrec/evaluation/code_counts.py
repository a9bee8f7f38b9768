"""What counting says of a target's codes, level by level: the yardstick of the generator's NLL.

P(code | context) is estimated from the targets of the training parts (every item with an item before it) as

    P(code | context) = (n(context, code) + t(context) * P(code | shorter context)) / (n(context) + t(context))

with n the counts and t the number of different codes that were seen after the context: the more of them, the more a
new one is expected (Witten & Bell 1991, method C). The shortest context is none at all, and what it does not know is
uniform over the level; a context that was never seen says what the shorter one says. No history is in `by_prefix`: a
generator whose first code is no better than that is dead there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64
from numpy import ndarray

from genrec.baselines.counting import training_parts
from genrec.data.interactions import Interactions
from genrec.data.splits import Cases, Splits


class Pairs(NamedTuple):
    """Items that follow one another in a sequence."""

    before: Int64[ndarray, " pairs"]
    targets: Int64[ndarray, " pairs"]


class CountedNLL(NamedTuple):
    """-log P of every case's codes, in nats, by their counts."""

    by_prefix: Float64[ndarray, "cases levels"]
    """Context: the target's own codes before; on the first level nothing. Knows no history."""
    by_prefix_and_last_item: Float64[ndarray, "cases levels"]
    """Context: these and the last history item's code on the same level; shorter than that is `by_prefix`."""


def counted_nll(
    codes: Int[ndarray, "items levels"], level_sizes: tuple[int, ...], *, training: Pairs, cases: Pairs
) -> CountedNLL:
    """The NLL of the cases' targets by the counts of the training's."""
    by_prefix, by_both = [], []
    prefix = np.zeros(len(codes), dtype=np.int64)  # number of each item's codes before this level
    for level, size in enumerate(level_sizes):
        own = codes[:, level].astype(np.int64)
        smoothed = np.full(len(cases.targets), 1.0 / size)
        nothing = np.zeros_like(prefix)
        for context in (nothing, prefix) if level else (nothing,):
            smoothed = _smoothed(
                smoothed, context[training.targets], own[training.targets], context[cases.targets], own[cases.targets]
            )
        by_prefix.append(-np.log(smoothed))
        smoothed = _smoothed(
            smoothed,
            prefix[training.targets] * size + own[training.before],
            own[training.targets],
            prefix[cases.targets] * size + own[cases.before],
            own[cases.targets],
        )
        by_both.append(-np.log(smoothed))
        prefix = np.unique(prefix * size + own, return_inverse=True)[1].reshape(-1)
    return CountedNLL(np.stack(by_prefix, axis=1), np.stack(by_both, axis=1))


def training_pairs(interactions: Interactions, splits: Splits) -> Pairs:
    """All neighbours in the training parts."""
    users, items = training_parts(interactions, splits)
    one_user = users[:-1] == users[1:]
    return Pairs(items[:-1][one_user].astype(np.int64), items[1:][one_user].astype(np.int64))


def case_pairs(interactions: Interactions, cases: Cases) -> Pairs:
    """The last item of every case's history, and its target."""
    items = interactions.items
    return Pairs(items[cases.ends - 1].astype(np.int64), items[cases.ends].astype(np.int64))


def _smoothed(
    shorter: Float64[ndarray, " cases"],
    contexts: Int64[ndarray, " training"],
    codes: Int64[ndarray, " training"],
    asked_contexts: Int64[ndarray, " cases"],
    asked_codes: Int64[ndarray, " cases"],
) -> Float64[ndarray, " cases"]:
    """P(asked code | asked context), where `shorter` is what the shorter context says."""
    width = 1 + max(codes.max(initial=0), asked_codes.max(initial=0))
    seen = contexts * width + codes
    both, alone = _counts(seen, asked_contexts * width + asked_codes), _counts(contexts, asked_contexts)
    kinds = _counts(np.unique(seen) // width, asked_contexts).clip(min=1)
    return (both + kinds * shorter) / (alone + kinds)


def _counts(seen: Int64[ndarray, " training"], asked: Int64[ndarray, " cases"]) -> Int64[ndarray, " cases"]:
    """How often each key that is asked for was seen."""
    keys, counts = np.unique(seen, return_counts=True)
    if not len(keys):
        return np.zeros(len(asked), dtype=np.int64)
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[place] == asked, counts[place], 0)
