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
from genrec.evaluation.case_figures import PROTOCOLS, CaseFigures
from genrec.evaluation.diagnostics import GENERATOR, GENERATOR_CODES, CaseSet, diagnose, places_of
from genrec.evaluation.evaluate import CaseRanks, EvaluationConfig, case_metrics, rank_cases
from genrec.evaluation.item_head import ItemHead
from genrec.evaluation.metrics import Places
from genrec.evaluation.scorers import Scorer, Standing, scorer_metrics, scorer_standings
from genrec.evaluation.target_paths import follow_targets
from genrec.progress import Progress
from genrec.recommendation.recommender import Recommender

Figures = dict[str, float]
ITEM_HEAD = "item_head"
MethodStandings = dict[str, dict[str, Standing]]
"""Protocol -> method."""


class EvaluationInputs(NamedTuple):
    """What the stages before left."""

    catalogue: Catalogue
    interactions: Interactions
    splits: Splits
    world: World | None
    """The embedded world, if the data comes from it: its law is the ceiling of every method."""


class Evaluated(NamedTuple):
    """What an evaluation leaves."""

    figures: dict[str, Any]
    """Those of `metrics.json`, all but the seconds."""
    of_cases: CaseFigures


def evaluate_run(
    recommender: Recommender, inputs: EvaluationInputs, config: EvaluationConfig, *, progress: Progress
) -> Evaluated:
    """Measure the generator and the baselines on the test cases, and say why the figures are what they are."""
    interactions, splits = inputs.interactions, inputs.splits
    tested = CaseSet(interactions, splits, test_cases(interactions, splits))
    figures, standings = _measure_generator(recommender, tested, config, progress)
    item_head = ItemHead(recommender.model)
    figures[ITEM_HEAD] = _measure_scorer(ITEM_HEAD, item_head, tested, standings, progress)
    figures["baselines"] = {}
    for name in config.baselines:
        scorer = COUNTING[name]().fit(interactions, splits)
        figures["baselines"][name] = _measure_scorer(name, scorer, tested, standings, progress)
    if inputs.world is not None:
        oracle = Oracle(inputs.world, inputs.catalogue)
        figures["oracle"] = _measure_scorer("oracle", oracle, tested, standings, progress)
    with progress.bar("evaluate codes") as bar:
        beam_sizes = config.survival_beam_sizes
        paths = follow_targets(recommender, interactions, tested.cases, beam_sizes=beam_sizes, progress=bar)
    figures["diagnostics"] = diagnose(recommender.generator.vocabulary, tested, standings=standings, paths=paths)
    figures |= {"users": len(tested.cases.ends), "items": interactions.num_items}
    figures["parameters"] = recommender.generator.num_parameters()
    places = places_of(standings)
    of_cases = CaseFigures.of(interactions, tested.cases, places, survived=paths.survived, nll=paths.nll)
    return Evaluated(figures, of_cases)


def _measure_generator(
    recommender: Recommender, tested: CaseSet, config: EvaluationConfig, progress: Progress
) -> tuple[dict[str, Any], MethodStandings]:
    """The figures of validation and test, and how both readings stand on the test."""
    validation = validation_cases(tested.interactions, tested.splits)
    by_codes = recommender.config.rank == "codes"
    figures: dict[str, Any] = {}
    standings: MethodStandings = {}
    for name, part in (("validation", validation), *((protocol, tested.cases) for protocol in PROTOCOLS)):
        with progress.bar(f"evaluate {name}") as bar:
            ranks = rank_cases(
                recommender,
                tested.interactions,
                part,
                exclude_history=name.endswith("_history_filtered"),
                beam_size=config.beam_size or recommender.config.beam_size,
                progress=bar,
            )
        figures |= _generator_figures(ranks, name, by_codes=by_codes)
        if name in PROTOCOLS:
            standings[name] = _generator_standings(ranks, by_codes=by_codes)
    return figures, standings


def _generator_figures(ranks: CaseRanks, name: str, *, by_codes: bool) -> Mapping[str, Figures]:
    """A part by the run's default reading and, of the test, by the codes alone."""
    default = case_metrics(ranks.codes if by_codes else ranks.blend, ranks.among_candidates)
    if name == "validation":
        return {name: default}
    return {name: default, name.replace("test", "test_codes", 1): case_metrics(ranks.codes, ranks.among_candidates)}


def _generator_standings(ranks: CaseRanks, *, by_codes: bool) -> dict[str, Standing]:
    """Of the run's default reading and of the codes alone; a list has one order, so nothing ties."""
    codes = Standing(Places(ranks.codes, ranks.codes), ranks.listed_by_codes)
    blend = Standing(Places(ranks.blend, ranks.blend), ranks.listed_by_blend)
    return {GENERATOR: codes if by_codes else blend, GENERATOR_CODES: codes}


def _measure_scorer(
    name: str, scorer: Scorer, tested: CaseSet, standings: MethodStandings, progress: Progress
) -> dict[str, Figures]:
    """The figures by protocol; how it stands goes to the `standings`."""
    with progress.bar(f"evaluate {name}") as bar:
        found = scorer_standings(scorer, tested.interactions, tested.cases, progress=bar)
    for protocol, standing in zip(PROTOCOLS, found, strict=True):
        standings[protocol][name] = standing
    return {protocol: scorer_metrics(standings[protocol][name].places) for protocol in PROTOCOLS}


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
