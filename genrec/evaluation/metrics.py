"""Recall and NDCG of exact items, from where each case's one target stands in the ranking.

Places are 0-based. Where scores are tied the target could stand at any place of the tie, so neither the order of rows
nor a constant score may win anything. Two readings of a tie are offered: `metrics_at` puts the target at the tie's
mean place (its expected rank), `expected_metrics_at` averages the metric over all orders of the tied items. They agree
where nothing ties. Infinity means "not found".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from numpy import ndarray

CUTOFFS = (5, 10, 20)


class Places(NamedTuple):
    """First and last 0-based place that each target takes over all orders of the items that tie with it.

    Both are infinity where the target is not in the ranking.
    """

    best: Float64[ndarray, " cases"]
    worst: Float64[ndarray, " cases"]

    @property
    def ranks(self) -> Float64[ndarray, " cases"]:
        """Expected 0-based ranks: the items that score strictly higher, plus half of the others that tie."""
        return (self.best + self.worst) / 2


def target_ranks(
    scores: Float[ndarray, "cases items"],
    targets: Int[ndarray, " cases"],
    *,
    excluded: Sequence[Int[ndarray, " _"]] | None = None,
) -> Float64[ndarray, " cases"]:
    """Expected rank of each target in the full ranking of the catalogue by score; see `target_places`."""
    return target_places(scores, targets, excluded=excluded).ranks


def target_places(
    scores: Float[ndarray, "cases items"],
    targets: Int[ndarray, " cases"],
    *,
    excluded: Sequence[Int[ndarray, " _"]] | None = None,
) -> Places:
    """Places of each target in the full ranking of the catalogue by score.

    `excluded` holds, per case, the rows that are taken out of the ranking (repeats are allowed). A target that is
    excluded itself, or that scores -inf, is not found.

    Raises:
        ValueError: a score is NaN, a target is no row of the catalogue, or `excluded` has another number of cases.
    """
    num_cases, num_items = scores.shape
    if targets.size and (targets.min() < 0 or targets.max() >= num_items):
        raise ValueError(f"targets must be rows in 0..{num_items - 1}, got {targets.min()}..{targets.max()}")
    if np.isnan(scores).any():
        raise ValueError("scores must be numbers or -inf, got NaN: check the model that made them")
    if excluded is not None:
        scores = without(scores, excluded)
    target_scores = scores[np.arange(num_cases), targets][:, None]
    found = ~np.isneginf(target_scores[:, 0])
    best = (scores > target_scores).sum(axis=1)
    worst = (scores >= target_scores).sum(axis=1) - 1
    return Places(np.where(found, best, np.inf), np.where(found, worst, np.inf))


def without(
    scores: Float[ndarray, "cases items"], excluded: Sequence[Int[ndarray, " _"]]
) -> Float[ndarray, "cases items"]:
    """A copy of the scores in which each case's excluded rows are -inf.

    Raises:
        ValueError: `excluded` has another number of cases.
    """
    if len(excluded) != len(scores):
        raise ValueError(f"excluded must hold one array a case: expected {len(scores)}, got {len(excluded)}")
    remaining = scores.copy()
    for case_scores, rows in zip(remaining, excluded, strict=True):
        case_scores[rows] = -np.inf
    return remaining


def ranks_in_lists(rows: Int[ndarray, "cases list"], targets: Int[ndarray, " cases"]) -> Float64[ndarray, " cases"]:
    """Rank of each target in its case's list of recommended rows, best first; infinity where it is absent.

    Lists that are shorter than the array is wide are filled with -1 at their end.

    Raises:
        ValueError: a target is negative, and would be "found" in the filling.
    """
    if targets.size and targets.min() < 0:
        raise ValueError(f"targets must be rows >= 0, got {targets.min()}")
    ranks = np.full(len(targets), np.inf)
    cases, places = np.nonzero(rows == targets[:, None])
    np.minimum.at(ranks, cases, places)  # an item that is listed twice counts at its first place
    return ranks


def found_in(rows: Int[ndarray, "cases list"], targets: Int[ndarray, " cases"]) -> Bool[ndarray, " cases"]:
    """Whether each target is anywhere in its case's list; its mean is the recall of a set of candidates."""
    return np.isfinite(ranks_in_lists(rows, targets))


def recall_at(ranks: Float64[ndarray, " cases"], cutoff: int) -> float:
    """Share of cases whose target ranks among the first `cutoff`; with one target a case this is the hit rate."""
    _check(ranks, cutoff)
    return float((ranks < cutoff).mean())


def ndcg_at(ranks: Float64[ndarray, " cases"], cutoff: int) -> float:
    """Mean gain 1 / log2(rank + 2) of the targets among the first `cutoff`, zero for the others.

    With one target a case the ideal list's gain is 1, so nothing is divided by it.
    """
    _check(ranks, cutoff)
    # ranks start at 0, the paper's at 1; Järvelin & Kekäläinen 2002, with the usual discount 1 / log2(1 + place)
    gains = np.where(ranks < cutoff, 1.0 / np.log2(ranks + 2.0), 0.0)
    return float(gains.mean())


def metrics_at(ranks: Float64[ndarray, " cases"], cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """`{"recall@5": .., "ndcg@5": .., ...}`, means over the cases, for every cutoff in the order given."""
    measures = {"recall": recall_at, "ndcg": ndcg_at}
    return {f"{name}@{k}": measure(ranks, k) for k in cutoffs for name, measure in measures.items()}


def expected_metrics_at(places: Places, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """The dict of `metrics_at`, each metric averaged over all orders of the items that tie with the target.

    A constant score thus has recall@k = k / items, and a target tied with one other item at the edge of the list
    counts half.
    """
    metrics = {}
    for cutoff in cutoffs:
        _check(places.best, cutoff)
        metrics[f"recall@{cutoff}"] = float(expected_recalls(places, cutoff).mean())
        metrics[f"ndcg@{cutoff}"] = float(expected_ndcgs(places, cutoff).mean())
    return metrics


def expected_recalls(places: Places, cutoff: int) -> Float64[ndarray, " cases"]:
    """Of each case, the share of all orders of tied items in which its target is among the first `cutoff`."""
    return _mean_gains(places, np.ones(cutoff))


def expected_ndcgs(places: Places, cutoff: int) -> Float64[ndarray, " cases"]:
    """Of each case, its NDCG averaged over all orders of tied items."""
    return _mean_gains(places, 1.0 / np.log2(np.arange(cutoff) + 2.0))


def _mean_gains(places: Places, gains: Float64[ndarray, " cutoff"]) -> Float64[ndarray, " cases"]:
    """Mean gain over each target's places; places behind the last gain are worth nothing."""
    found = np.isfinite(places.best)
    best = np.where(found, places.best, len(gains)).astype(np.int64)
    worst = np.where(found, places.worst, len(gains)).astype(np.int64)
    summed = np.concatenate([[0.0], np.cumsum(gains)])
    gained = summed[np.minimum(worst + 1, len(gains))] - summed[np.minimum(best, len(gains))]
    return gained / (worst - best + 1)


def _check(ranks: Float64[ndarray, " cases"], cutoff: int) -> None:
    if cutoff < 1:
        raise ValueError(f"a cutoff is a length of list >= 1, got {cutoff}")
    if not len(ranks):
        raise ValueError("there is no case to average over: expected at least one rank, got none")
