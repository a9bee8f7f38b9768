"""Recall and NDCG of parts of the cases: by how popular the target is, and by how long the history is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray

from genrec.baselines.counting import training_parts
from genrec.data.interactions import Interactions
from genrec.data.splits import Cases, Splits
from genrec.evaluation.metrics import Places, expected_metrics_at

POPULARITY_FROM = (0, 1, 5, 10, 50)
"""Where each slice begins, in training interactions of the target; 0: cold items, never seen in training."""
HISTORY_LENGTH_FROM = (1, 5, 10, 20)
"""Where each slice begins, in items of the whole history, repeats counted."""


def slice_figures(
    sizes: Int64[ndarray, " cases"], bounds: Sequence[int], places: Mapping[str, Mapping[str, Places]]
) -> dict[str, dict[str, Any]]:
    """`{"5-9": {"cases": 31, protocol: {method: {"recall@10": .., "ndcg@10": ..}}}, ...}`; each case is in one slice.

    `places` has every method's under every protocol. The figures of a slice without a case are None.
    """
    which = slice_numbers(sizes, bounds)
    figures = {}
    for number, name in enumerate(slice_names(bounds)):
        chosen = which == number
        figures[name] = {"cases": int(chosen.sum())} | {
            protocol: {method: _figures(every, chosen) for method, every in methods.items()}
            for protocol, methods in places.items()
        }
    return figures


def slice_numbers(sizes: Int64[ndarray, " cases"], bounds: Sequence[int]) -> Int64[ndarray, " cases"]:
    """Number of the slice that each case is in."""
    return np.searchsorted(bounds, sizes, side="right") - 1


def slice_names(bounds: Sequence[int]) -> list[str]:
    """Of (0, 1, 5): "0", "1-4" and "5+"."""
    ends = [following - 1 for following in bounds[1:]]
    closed = [str(begin) if begin == end else f"{begin}-{end}" for begin, end in zip(bounds, ends, strict=False)]
    return [*closed, f"{bounds[-1]}+"]


def training_counts(interactions: Interactions, splits: Splits) -> Int64[ndarray, " items"]:
    """How often each item is in the training parts, repeats counted."""
    return np.bincount(training_parts(interactions, splits).items, minlength=interactions.num_items)


def history_lengths(interactions: Interactions, cases: Cases) -> Int[ndarray, " cases"]:
    """Items before each case's target."""
    return cases.ends - interactions.offsets[cases.users]


def _figures(places: Places, chosen: ndarray) -> dict[str, float | None]:
    if not chosen.any():
        return {"recall@10": None, "ndcg@10": None}
    return {**expected_metrics_at(Places(places.best[chosen], places.worst[chosen]), (10,))}
