"""Evaluate a model that scores every item of the catalogue, such as the counting baselines."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.coverage import times_listed_by_scores
from genrec.evaluation.metrics import Places, expected_metrics_at, expected_recalls, target_places, without


@runtime_checkable
class Scorer(Protocol):
    """Whatever scores the whole catalogue for given histories."""

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Score of every item as the next one after each history (rows, oldest first); higher is better."""
        ...


class ScorerPlaces(NamedTuple):
    """Where the targets stand under both protocols, in the order of the cases."""

    unfiltered: Places
    history_filtered: Places


class Standing(NamedTuple):
    """How a method stands on a set of cases under one protocol."""

    places: Places
    """Of the targets, in the order of the cases."""
    times_listed: Int64[ndarray, " items"]
    """How many of the cases' top tens hold each item of the catalogue."""


class ScorerStandings(NamedTuple):
    """Under both protocols."""

    unfiltered: Standing
    history_filtered: Standing


def evaluate_scorer(
    scorer: Scorer,
    interactions: Interactions,
    cases: Cases,
    *,
    batch_size: int = 256,
    part: str = "test",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Metrics by exact item over the full ranking: `{part: {...}, part + "_history_filtered": {...}}`.

    The history of a case is everything before its target, however long; the filtered protocol takes all of it out of
    the ranking, so a target that repeats an item of the history counts as not found there. Tied scores share their
    expected rank. "candidates@50" is the recall@50, to be read beside that of a beam. See `scorer_standings` for the
    other arguments.
    """
    places = scorer_places(scorer, interactions, cases, batch_size=batch_size, progress=progress)
    return {
        part: scorer_metrics(places.unfiltered),
        f"{part}_history_filtered": scorer_metrics(places.history_filtered),
    }


def scorer_metrics(places: Places) -> dict[str, float]:
    """The figures of one protocol as they stand in metrics.json."""
    return {**expected_metrics_at(places), "candidates@50": float(expected_recalls(places, 50).mean())}


def scorer_places(
    scorer: Scorer,
    interactions: Interactions,
    cases: Cases,
    *,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> ScorerPlaces:
    """Places of every case's target; see `scorer_standings`."""
    unfiltered, history_filtered = [], []
    for histories, targets, scores in _scored(scorer, interactions, cases, batch_size, progress):
        unfiltered.append(target_places(scores, targets))
        history_filtered.append(target_places(without(scores, histories), targets))
    return ScorerPlaces(_joined(unfiltered), _joined(history_filtered))


def unfiltered_places(scorer: Scorer, interactions: Interactions, cases: Cases, *, batch_size: int = 256) -> Places:
    """Those of `scorer_places` without a filter, at less than half the cost beside the scores."""
    return _joined(
        [
            target_places(scores, targets)
            for _, targets, scores in _scored(scorer, interactions, cases, batch_size, None)
        ]
    )


def scorer_standings(
    scorer: Scorer,
    interactions: Interactions,
    cases: Cases,
    *,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> ScorerStandings:
    """Places of every case's target and the lists' items, scoring `batch_size` cases at a time.

    A batch's scores take 4 * batch_size * items bytes, and about twice that while it is ranked. `progress` is called
    with (cases done, cases in all) after every batch.

    Raises:
        ValueError: there is no case, or `batch_size` is below 1.
    """
    unfiltered, history_filtered = [], []
    for histories, targets, scores in _scored(scorer, interactions, cases, batch_size, progress):
        unfiltered.append(_standing(scores, targets))
        history_filtered.append(_standing(without(scores, histories), targets))
    return ScorerStandings(_together(unfiltered), _together(history_filtered))


def _scored(
    scorer: Scorer,
    interactions: Interactions,
    cases: Cases,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[list[Int[ndarray, " _"]], Int[ndarray, " batch"], Float32[ndarray, "batch items"]]]:
    """Histories, targets and all scores, a batch of cases at a time."""
    if not len(cases.ends) or batch_size < 1:
        raise ValueError(f"expected at least one case and batch_size >= 1, got {len(cases.ends)} and {batch_size}")
    for start in range(0, len(cases.ends), batch_size):
        batch = cases.at(slice(start, start + batch_size))
        begins = interactions.offsets[batch.users]
        histories = [interactions.items[begin:end] for begin, end in zip(begins, batch.ends, strict=True)]
        yield histories, interactions.items[batch.ends], scorer.scores(histories)
        if progress:
            progress(start + len(batch.ends), len(cases.ends))


def _standing(scores: Float32[ndarray, "cases items"], targets: Int[ndarray, " cases"]) -> Standing:
    return Standing(target_places(scores, targets), times_listed_by_scores(scores))


def _together(batches: Sequence[Standing]) -> Standing:
    places = _joined([batch.places for batch in batches])
    return Standing(places, np.sum([batch.times_listed for batch in batches], axis=0))


def _joined(batches: Sequence[Places]) -> Places:
    best, worst = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Places(best, worst)
