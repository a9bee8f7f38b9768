"""Recall of parts of the users, for every method whose ranks or slices the run has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from genrec.evaluation.intervals import Interval, mean_interval
from genrec.evaluation.slices import HISTORY_LENGTH_FROM, POPULARITY_FROM, slice_figures, slice_names, slice_numbers
from genrec.report.methods import Method
from genrec.report.record import RunRecord

FIGURE = "recall@10"


@dataclass(frozen=True)
class Slice:
    """The cases of one size."""

    name: str
    """Such as "5-9"."""
    cases: Int[ndarray, " cases"]
    """Their numbers."""
    recalls: Mapping[str, float]
    """By method; those without a figure are left out."""
    intervals: Mapping[str, Interval]
    """By method; those without ranks are left out."""

    @property
    def num_cases(self) -> int:
        """How many they are."""
        return len(self.cases)


def slices_by_popularity(record: RunRecord, methods: Sequence[Method]) -> list[Slice]:
    """By training interactions of the target; the first slice are cold items."""
    return _slices(record, methods, "popularity", record.popularity, POPULARITY_FROM)


def slices_by_history(record: RunRecord, methods: Sequence[Method]) -> list[Slice]:
    """By items in the history."""
    return _slices(record, methods, "history_length", record.history_lengths, HISTORY_LENGTH_FROM)


def _slices(
    record: RunRecord, methods: Sequence[Method], kind: str, sizes: Int[ndarray, " cases"], bounds: Sequence[int]
) -> list[Slice]:
    protocol, which = record.served_protocol, slice_numbers(sizes, bounds)
    stored = record.diagnostics["slices"][kind]
    computed = slice_figures(sizes, bounds, {protocol: record.places[protocol]})
    found = []
    for number, name in enumerate(slice_names(bounds)):
        recalls = _recalls(computed[name][protocol], methods) | _recalls(stored[name][protocol], methods)
        cases = np.flatnonzero(which == number)
        found.append(Slice(name, cases, recalls, _intervals(record, methods, cases)))
    return found


def _recalls(figures: Mapping[str, Mapping[str, Any]], methods: Sequence[Method]) -> dict[str, float]:
    """By method, those that have one."""
    found = {method.name: figures.get(method.name, {}).get(FIGURE) for method in methods}
    return {name: recall for name, recall in found.items() if recall is not None}


def _intervals(record: RunRecord, methods: Sequence[Method], cases: Int[ndarray, " cases"]) -> dict[str, Interval]:
    if not len(cases):
        return {}
    gains = {method.name: record.gains(record.served_protocol, method.name, FIGURE) for method in methods}
    return {name: mean_interval(values[cases]) for name, values in gains.items() if values is not None}
