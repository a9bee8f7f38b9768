"""The evaluation stage: every method through one protocol, both with and without the history filter."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from genrec.baselines import COUNTING
from genrec.data.catalogue import Catalogue
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits, test_cases, validation_cases
from genrec.data.world import World
from genrec.evaluation.evaluate import CaseRanks, EvaluationConfig, case_metrics, rank_cases
from genrec.evaluation.scorers import evaluate_scorer
from genrec.progress import Progress
from genrec.recommendation.recommender import Recommender

Figures = dict[str, float]


class EvaluationInputs(NamedTuple):
    """What the stages before left."""

    catalogue: Catalogue
    interactions: Interactions
    splits: Splits
    world: World | None
    """The embedded world, if the data comes from it: its law is the ceiling of every method."""


def evaluate_run(
    recommender: Recommender, inputs: EvaluationInputs, config: EvaluationConfig, *, progress: Progress
) -> dict[str, Any]:
    """The figures of `metrics.json`, all but the seconds."""
    interactions, cases = inputs.interactions, test_cases(inputs.interactions, inputs.splits)
    figures: dict[str, Any] = {}
    validation = validation_cases(inputs.interactions, inputs.splits)
    for name, part, filtered in (
        ("validation", validation, False),
        ("test", cases, False),
        ("test_history_filtered", cases, True),
    ):
        with progress.bar(f"evaluate {name}") as bar:
            ranks = rank_cases(
                recommender,
                interactions,
                part,
                exclude_history=filtered,
                beam_size=config.beam_size,
                progress=bar,
            )
        figures |= _generator_figures(ranks, name, by_codes=recommender.config.rank == "codes")
    figures["baselines"] = {}
    for name in config.baselines:
        with progress.bar(f"evaluate {name}") as bar:
            scorer = COUNTING[name]().fit(interactions, inputs.splits)
            figures["baselines"][name] = evaluate_scorer(scorer, interactions, cases, progress=bar)
    if inputs.world is not None:
        oracle = Oracle(inputs.world, inputs.catalogue)
        figures["oracle"] = evaluate_scorer(oracle, interactions, cases)
    figures |= {"users": len(cases.ends), "items": interactions.num_items}
    return figures


def _generator_figures(ranks: CaseRanks, name: str, *, by_codes: bool) -> Mapping[str, Figures]:
    """A part by the run's default reading and, of the test, by the codes alone."""
    default = case_metrics(ranks.codes if by_codes else ranks.blend, ranks.among_candidates)
    if name == "validation":
        return {name: default}
    return {name: default, name.replace("test", "test_codes", 1): case_metrics(ranks.codes, ranks.among_candidates)}


class Oracle:
    """Scores every item by its true probability in the embedded world: no method can rank better on average."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        self.world = world
        place = {item_id: index for index, item_id in enumerate(world.item_ids.tolist())}
        self._world_index = np.array([place[item_id] for item_id in catalogue.item_ids.tolist()])

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """P(next item | history) in the order of the catalogue's rows."""
        distribution = self.world.next_distribution([self._world_index[history] for history in histories])
        return distribution[:, self._world_index].astype(np.float32)
