"""Runs of one method over seeds, and of a peer over its settings: medians, and the best within a time."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.own_process import MeasurementError, measure_in_own_process

_MODULE = "benchmarks.tokenizer_methods"
_TRIES = 6
_SLACK = 1.2


@dataclass(frozen=True)
class Comparison:
    """What is the same for all methods."""

    vectors: Path
    num_levels: int
    codebook_size: int
    seeds: Sequence[int]
    threads: int


@dataclass(frozen=True)
class Swept:
    """Figures of a peer's settings with the first seed, the best first; those that gave none; those left out."""

    rows: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    left_out: int


def measured(
    comparison: Comparison,
    method: str,
    setting: Mapping[str, Any],
    *,
    seeds: Sequence[int] | None = None,
    train_seconds: float | None = None,
    timeout_seconds: float | None = None,
) -> dict[str, Any]:
    """`runs` (one a seed) and `peak_mb` of a method with one setting, out of a process of its own."""
    job = {
        "vectors": str(comparison.vectors),
        "method": method,
        "setting": dict(setting),
        "num_levels": comparison.num_levels,
        "codebook_size": comparison.codebook_size,
        "seeds": list(comparison.seeds if seeds is None else seeds),
        "train_seconds": train_seconds,
    }
    return measure_in_own_process(_MODULE, job, threads=comparison.threads, timeout_seconds=timeout_seconds)


def row_of(measurement: Mapping[str, Any], *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Medians over the runs, and what they are the medians of."""
    runs = measurement["runs"]
    figures = ("error", "unique", "seconds", "fit_seconds", "encode_seconds")
    return {
        **{name: statistics.median(run[name] for run in runs) for name in figures},
        "usage": [statistics.median(level) for level in zip(*(run["usage"] for run in runs), strict=True)],
        "peak_mb": measurement["peak_mb"],
        "seconds_all": [run["seconds"] for run in runs],
        "error_all": [run["error"] for run in runs],
        "settings": dict(settings),
    }


def sweep(
    comparison: Comparison,
    method: str,
    settings: Sequence[Any],
    *,
    most_seconds: float,
    setting_seconds: float | None = None,
    train_seconds: float | None = None,
) -> Swept:
    """Each setting (a dataclass) with the first seed, in order, until `most_seconds` are over.

    A setting that takes longer than `setting_seconds` is ended, and counts as failed.
    """
    started = time.monotonic()
    rows, failed = [], []
    for place, setting in enumerate(settings):
        if time.monotonic() - started > most_seconds:
            return Swept(by_error(rows), failed, left_out=len(settings) - place)
        values = asdict(setting)
        try:
            found = measured(
                comparison,
                method,
                values,
                seeds=comparison.seeds[:1],
                train_seconds=train_seconds,
                timeout_seconds=setting_seconds,
            )
        except MeasurementError as error:
            failed.append({"settings": values, "reason": str(error)})
            continue
        rows.append({key: found["runs"][0][key] for key in ("error", "seconds", "unique")} | {"settings": values})
    return Swept(by_error(rows), failed, left_out=0)


def by_error(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, the smallest error first."""
    return sorted(rows, key=lambda row: row["error"])


def best_within(
    comparison: Comparison, method: str, swept: Swept, *, seconds: float | None, train_seconds: float | None = None
) -> dict[str, Any]:
    """The row (all seeds) of the setting with the least error, none slower than `seconds`; and the whole sweep.

    A sweep's one run is a cold one, so settings a fifth slower are tried too; what counts is the median of all seeds,
    and where that is too slow the next best is tried, a few times. `within_time` says how it ended. Where no setting is
    fast enough the fastest is taken.

    Raises:
        MeasurementError: no setting gave figures.
    """
    if not swept.rows:
        raise MeasurementError(f"no setting of {method} gave figures; the first: {swept.failed[:1]}")
    row: dict[str, Any] = {}
    for candidate in candidates(swept.rows, seconds=seconds and _SLACK * seconds)[:_TRIES]:
        found = measured(comparison, method, candidate["settings"], train_seconds=train_seconds)
        row = row_of(found, settings=candidate["settings"])
        if seconds is None or row["seconds"] <= seconds:
            break
    return row | {
        "seconds_at_most": seconds,
        "within_time": seconds is None or row["seconds"] <= seconds,
        "best_any_time": swept.rows[0],
        "sweep": swept.rows,
        "failed": swept.failed,
        "settings_left_out": swept.left_out,
    }


def candidates(rows: Sequence[dict[str, Any]], *, seconds: float | None) -> list[dict[str, Any]]:
    """The rows that are fast enough, the smallest error first; the fastest alone where none is."""
    fast = [row for row in rows if seconds is None or row["seconds"] <= seconds]
    return by_error(fast) if fast else [min(rows, key=lambda row: row["seconds"])]
