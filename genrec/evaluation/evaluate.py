"""The generator's quality over all cases, through the same `Recommender` that serves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from accelerate import Accelerator
from jaxtyping import Bool, Float64, Int, Int64
from numpy import ndarray

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.coverage import times_listed
from genrec.evaluation.metrics import found_in, metrics_at, ranks_in_lists
from genrec.recommendation.candidates import Candidates, rank_candidates
from genrec.recommendation.recommender import Recommender


@dataclass(frozen=True)
class EvaluationConfig:
    """What the last stage measures."""

    baselines: tuple[Literal["popularity", "transitions", "item_knn"], ...] = ("popularity", "transitions", "item_knn")
    beam_size: int | None = None
    """Of the search that is measured; None: `recommendation.beam_size`, so that what is measured is what is served."""
    survival_beam_sizes: tuple[int, ...] = (10, 20, 50)
    """Widths for which it is measured how long the targets' prefixes stay in the beam; each is a search of its own."""

    def __post_init__(self) -> None:
        if self.beam_size is not None and self.beam_size < 1:
            raise ValueError(
                f"beam_size must be at least 1, or null for recommendation.beam_size; got {self.beam_size}"
            )
        if not self.survival_beam_sizes or min(self.survival_beam_sizes) < 1:
            raise ValueError(f"survival_beam_sizes must be widths of at least 1, got {self.survival_beam_sizes}")


class CaseRanks(NamedTuple):
    """Ranks (from 0, infinity: not found) of the targets of a set of cases, in their order."""

    codes: Float64[ndarray, " cases"]
    blend: Float64[ndarray, " cases"]
    among_candidates: Bool[ndarray, " cases"]
    listed_by_codes: Int64[ndarray, " items"]
    """How many of the cases' top tens hold each item of the catalogue."""
    listed_by_blend: Int64[ndarray, " items"]


def rank_cases(
    recommender: Recommender,
    interactions: Interactions,
    cases: Cases,
    *,
    exclude_history: bool,
    beam_size: int,
    progress: Callable[[int, int], None] | None = None,
) -> CaseRanks:
    """Where every case's target stands in its list, by codes and by the blend; `progress(cases done, cases in all)`."""
    done = 0
    codes = np.full(len(cases.ends), np.inf)
    blend = np.full(len(cases.ends), np.inf)
    found = np.zeros(len(cases.ends), dtype=bool)
    num_items = len(recommender.catalogue)
    listed_by_codes, listed_by_blend = np.zeros((2, num_items), dtype=np.int64)
    for chosen, candidates in search_cases(
        recommender, interactions, cases, exclude_history=exclude_history, beam_size=beam_size
    ):
        targets = interactions.items[cases.ends[chosen]]
        ranked = partial(rank_candidates, candidates, blend_weight=recommender.blend_weight)
        by_codes, by_blend = ranked(rank="codes").rows, ranked(rank="blend").rows
        codes[chosen] = ranks_in_lists(by_codes, targets)
        blend[chosen] = ranks_in_lists(by_blend, targets)
        listed_by_codes += times_listed(by_codes, num_items=num_items)
        listed_by_blend += times_listed(by_blend, num_items=num_items)
        found[chosen] = found_in(candidates.rows[:, :50], targets)
        done += len(chosen)
        if progress:
            progress(done, len(cases.ends))
    return CaseRanks(codes, blend, found, listed_by_codes, listed_by_blend)


def search_cases(
    recommender: Recommender, interactions: Interactions, cases: Cases, *, exclude_history: bool, beam_size: int
) -> Iterator[tuple[Int[ndarray, " chosen"], Candidates]]:
    """Candidates of all cases, a batch at a time with the numbers of its cases."""
    for chosen, histories in history_batches(interactions, cases, batch_size=recommender.config.batch_size):
        denied = [np.unique(history) for history in histories] if exclude_history else None
        yield chosen, recommender.find(histories, beam_size=beam_size, denied=denied)


def history_batches(
    interactions: Interactions, cases: Cases, *, batch_size: int
) -> Iterator[tuple[Int[ndarray, " chosen"], list[Int[ndarray, " _"]]]]:
    """Histories of all cases, a batch at a time with the numbers of its cases; similar lengths go together."""
    begins = interactions.offsets[cases.users]
    order = np.argsort(cases.ends - begins, kind="stable")
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield chosen, [interactions.items[begins[case] : cases.ends[case]] for case in chosen]


def case_metrics(ranks: Float64[ndarray, " cases"], among_candidates: Bool[ndarray, " cases"]) -> dict[str, float]:
    """The figures of one protocol as they stand in metrics.json."""
    return {**metrics_at(ranks), "candidates@50": float(among_candidates.mean())}


def turns_of(
    accelerator: Accelerator, interactions: Interactions, cases: Cases, *, batch_size: int, between: Callable[[], None]
) -> Iterator[Cases]:
    """This process's share of the cases, a batch at a time, those of similar lengths together.

    The shares of all processes are the cases, each once. `between` is called after each turn, equally often by all.
    """
    by_length = np.argsort(cases.ends - interactions.offsets[cases.users], kind="stable")
    mine = cases.at(by_length[accelerator.process_index :: accelerator.num_processes])
    most = -(-len(by_length) // accelerator.num_processes)
    for start in range(0, most, batch_size):
        turn = mine.at(slice(start, start + batch_size))
        if len(turn.ends):
            yield turn
        between()
