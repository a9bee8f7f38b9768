"""Evaluate a model that scores every item of the catalogue, such as the counting baselines."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.metrics import Places, expected_metrics_at, target_places


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
    expected rank. See `scorer_places` for the other arguments.
    """
    places = scorer_places(scorer, interactions, cases, batch_size=batch_size, progress=progress)
    return {
        part: expected_metrics_at(places.unfiltered),
        f"{part}_history_filtered": expected_metrics_at(places.history_filtered),
    }


def scorer_places(
    scorer: Scorer,
    interactions: Interactions,
    cases: Cases,
    *,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> ScorerPlaces:
    """Places of every case's target, scoring `batch_size` cases at a time.

    A batch's scores take 4 * batch_size * items bytes, and about twice that while it is ranked. `progress` is called
    with (cases done, cases in all) after every batch.

    Raises:
        ValueError: there is no case, or `batch_size` is below 1.
    """
    if not len(cases.ends) or batch_size < 1:
        raise ValueError(f"expected at least one case and batch_size >= 1, got {len(cases.ends)} and {batch_size}")
    unfiltered, history_filtered = [], []
    for start, batch in _batches(cases, batch_size):
        histories = [
            interactions.items[interactions.offsets[user] : end]
            for user, end in zip(batch.users, batch.ends, strict=True)
        ]
        targets = interactions.items[batch.ends]
        scores = scorer.scores(histories)
        unfiltered.append(target_places(scores, targets))
        history_filtered.append(target_places(scores, targets, excluded=histories))
        if progress:
            progress(start + len(batch.ends), len(cases.ends))
    return ScorerPlaces(_joined(unfiltered), _joined(history_filtered))


def _batches(cases: Cases, batch_size: int) -> Iterator[tuple[int, Cases]]:
    for start in range(0, len(cases.ends), batch_size):
        yield start, Cases(cases.users[start : start + batch_size], cases.ends[start : start + batch_size])


def _joined(batches: Sequence[Places]) -> Places:
    return Places(
        best=np.concatenate([places.best for places in batches]),
        worst=np.concatenate([places.worst for places in batches]),
    )
