"""What a run was measured with: the generator's readings, the baselines, and the oracle where it is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Int
from numpy import ndarray

from genrec.evaluation.diagnostics import GENERATOR, GENERATOR_CODES
from genrec.evaluation.intervals import Interval, mean_interval
from genrec.evaluation.stage import ITEM_HEAD
from genrec.report.record import FILTERED, UNFILTERED, RunRecord

ORACLE = "oracle"
_STRONGEST_BASELINES = 3


@dataclass(frozen=True)
class Method:
    """One of them, with its figures as they stand in metrics.json."""

    name: str
    """As in `case_ranks.npz`."""
    title: str
    kind: Literal["generator", "baseline", "oracle"]
    figures: Mapping[str, Mapping[str, float]]
    """Protocol -> figure."""


def methods_of(record: RunRecord) -> list[Method]:
    """The run's default reading first, then its other readings, the baselines and the oracle."""
    metrics, by_codes = record.metrics, record.recommendation.rank == "codes"
    own = {UNFILTERED: metrics["test"], FILTERED: metrics["test_history_filtered"]}
    methods = [Method(GENERATOR, "generator, codes alone" if by_codes else "generator, blend", "generator", own)]
    if not by_codes:
        codes = {UNFILTERED: metrics["test_codes"], FILTERED: metrics["test_codes_history_filtered"]}
        methods.append(Method(GENERATOR_CODES, "generator, codes alone", "generator", codes))
    methods.append(Method(ITEM_HEAD, "its item head, all items", "generator", metrics["item_head"]))
    methods += [Method(name, name, "baseline", figures) for name, figures in metrics["baselines"].items()]
    if ORACLE in metrics:
        methods.append(Method(ORACLE, "oracle", "oracle", metrics[ORACLE]))
    return methods


def strongest_baselines(methods: list[Method], protocol: str) -> list[Method]:
    """The baselines by falling recall@10."""
    baselines = [method for method in methods if method.kind == "baseline"]
    return sorted(baselines, key=lambda method: -method.figures[protocol]["recall@10"])


def compared(methods: list[Method], protocol: str) -> list[Method]:
    """Those that fit on one picture: the generator's lists, the strongest baselines, and the oracle."""
    own = [method for method in methods if method.name in (GENERATOR, GENERATOR_CODES)]
    oracle = [method for method in methods if method.kind == "oracle"]
    return [*own, *strongest_baselines(methods, protocol)[:_STRONGEST_BASELINES], *oracle]


def interval_of(record: RunRecord, method: Method, protocol: str, figure: str) -> Interval | None:
    """Of a figure over the users; None where the method left no ranks."""
    gains = record.gains(protocol, method.name, figure)
    return None if gains is None else mean_interval(gains)


def lead_over(
    record: RunRecord, own: Method, other: Method, *, cases: Int[ndarray, " cases"] | None = None
) -> Interval | None:
    """Recall@10 that one method has more than another, paired by user; None where one of them left no ranks.

    As the run serves. `cases`: of these alone.
    """
    ours, theirs = (record.gains(record.served_protocol, method.name, "recall@10") for method in (own, other))
    if ours is None or theirs is None:
        return None
    return mean_interval(ours - theirs if cases is None else (ours - theirs)[cases])
