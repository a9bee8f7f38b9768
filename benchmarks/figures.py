"""Figures as the tables of the documents show them."""

import statistics
from collections.abc import Sequence


def shown(values: Sequence[float | None]) -> str:
    """Mean and, of several seeds, their standard deviation: ".0518 ± .0016"; nothing where one was not measured."""
    measured = [value for value in values if value is not None]
    if len(measured) < len(values):
        return ""
    mean = f"{statistics.fmean(measured):.4f}".removeprefix("0")
    if len(measured) == 1:
        return mean
    return f"{mean} ± {f'{statistics.stdev(measured):.4f}'.removeprefix('0')}"
