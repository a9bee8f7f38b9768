"""Figures as the tables of the documents show them."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


def shown(values: Sequence[float | None]) -> str:
    """Mean and, of several seeds, their standard deviation: ".0518 ± .0016"; nothing where one was not measured."""
    measured = [value for value in values if value is not None]
    if len(measured) < len(values):
        return ""
    mean = f"{statistics.fmean(measured):.4f}".removeprefix("0")
    if len(measured) == 1:
        return mean
    return f"{mean} ± {f'{statistics.stdev(measured):.4f}'.removeprefix('0')}"


def commits_shown(commits: Iterable[str]) -> str:
    """What runs were made at, most of them first: "a1b2c3d4e (12), 5f6a7b8c9 (1)"; one alone without its count."""
    counts = Counter(commit[:9] for commit in commits)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{each} ({n})" for each, n in counts.most_common())


def unless_the_same(earlier: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run now; those of before, with their commit, where nothing was done anew."""
    return earlier if earlier is not None and {**now, "commit": earlier.get("commit")} == earlier else now
