"""Everything that a report reads of a run, but for what a section alone needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float64, Int, Int64
from numpy import ndarray

from genrec.artifacts import BASELINE_OUTPUTS, RunFolder
from genrec.atomic_files import read_json
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, read_prepared
from genrec.data.splits import Cases, test_cases
from genrec.errors import ArtifactError
from genrec.evaluation.case_figures import CASE_FILE, PROTOCOLS, CaseFigures
from genrec.evaluation.metrics import Places, expected_ndcgs, expected_recalls
from genrec.evaluation.slices import history_lengths, training_counts
from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.loading import recommendation_config

UNFILTERED, FILTERED = PROTOCOLS
_NEEDED = ("test_codes", "item_head", "baselines", "parameters", "diagnostics")
_GAINS = {"recall": expected_recalls, "ndcg": expected_ndcgs}


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run that has been evaluated."""

    folder: RunFolder
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    recommendation: RecommendationConfig
    prepared: Prepared
    cases: Cases
    """The test cases, in the order of `places`."""
    places: Mapping[str, Mapping[str, Places]]
    """Protocol -> method -> where each target stands; only of methods that left it."""

    @classmethod
    def read(cls, run: RunFolder) -> "RunRecord":
        """`ArtifactError` if the run has not been evaluated, or a part of it is damaged."""
        run.require("evaluate", "a report")
        prepared, metrics = read_prepared(run.path), _read_metrics(run)
        return cls(
            run,
            metrics,
            yaml.safe_load(run.config.read_text(encoding="utf-8")),
            recommendation_config(run),
            prepared,
            test_cases(prepared.interactions, prepared.splits),
            _places(run, metrics),
        )

    @property
    def served_protocol(self) -> str:
        """How the run's own lists treat the history."""
        return FILTERED if self.recommendation.exclude_history else UNFILTERED

    @property
    def diagnostics(self) -> Mapping[str, Any]:
        """Why the figures are what they are."""
        return self.metrics["diagnostics"]

    @property
    def interactions(self) -> Interactions:
        """Everybody's sequences."""
        return self.prepared.interactions

    @cached_property
    def training_counts(self) -> Int64[ndarray, " items"]:
        """How often each item is in the training parts."""
        return training_counts(self.interactions, self.prepared.splits)

    @cached_property
    def targets(self) -> Int[ndarray, " cases"]:
        """What each test user took, in rows."""
        return self.interactions.items[self.cases.ends]

    @cached_property
    def popularity(self) -> Int64[ndarray, " cases"]:
        """Training interactions of each target."""
        return self.training_counts[self.targets]

    @cached_property
    def history_lengths(self) -> Int[ndarray, " cases"]:
        """Items before each target."""
        return history_lengths(self.interactions, self.cases)

    def gains(self, protocol: str, method: str, figure: str) -> Float64[ndarray, " cases"] | None:
        """A figure such as "ndcg@10" of each case; None where the method left no places."""
        places = self.places[protocol].get(method)
        if places is None:
            return None
        name, _, cutoff = figure.partition("@")
        return _GAINS[name](places, int(cutoff))


def _read_metrics(run: RunFolder) -> dict[str, Any]:
    metrics = read_json(run.metrics)
    missing = [name for name in _NEEDED if name not in metrics]
    if missing:
        raise ArtifactError(
            f"{run.metrics} is of an earlier version: expected {missing[0]!r} in it, which a report needs; delete it "
            f"and call `genrec evaluate {run.path}`"
        )
    return metrics


def _places(run: RunFolder, metrics: Mapping[str, Any]) -> dict[str, dict[str, Places]]:
    """Of the run, and of the trained baselines that its figures are about."""
    if not (run.path / CASE_FILE).exists():
        return {protocol: {} for protocol in PROTOCOLS}
    own = CaseFigures.read(run.path)
    found = {protocol: dict(methods) for protocol, methods in own.places.items()}
    for name in BASELINE_OUTPUTS.keys() & metrics["baselines"].keys():
        for protocol, places in _places_of_baseline(run.of_baseline(name), own, metrics["baselines"][name]).items():
            found[protocol][name] = places
    return found


def _places_of_baseline(folder: RunFolder, own: CaseFigures, figures: Mapping[str, Any]) -> dict[str, Places]:
    """By protocol; empty if the files are gone, or of another training than the figures."""
    if not (folder.path / CASE_FILE).exists() or not folder.metrics.exists():
        return {}
    now, theirs = read_json(folder.metrics), CaseFigures.read(folder.path)
    same_cases = np.array_equal(own.user_ids, theirs.user_ids) and np.array_equal(own.target_ids, theirs.target_ids)
    if not same_cases or any(now[protocol] != figures[protocol] for protocol in PROTOCOLS):
        return {}
    return {protocol: theirs.places[protocol][folder.path.name] for protocol in PROTOCOLS}
