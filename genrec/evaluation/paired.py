"""Two models on the same cases: the difference of their means, with an interval by a bootstrap that is paired per case.

Each resample draws as many cases as there are, with replacement, and takes both models' figures of the drawn cases, so
that what makes a case hard for both cancels out (Efron & Tibshirani 1993; Sakai 2006 for rankings).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


class Difference(NamedTuple):
    """Of one figure, second model minus first; the interval holds 95 % of the resamples' differences."""

    first: float
    second: float
    difference: float
    low: float
    high: float


def paired_differences(
    first: Mapping[str, Float64[ndarray, " _"]],
    second: Mapping[str, Float64[ndarray, " _"]],
    *,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Difference]:
    """For every figure, given per case (the same cases in the same order); all figures share the resamples.

    Raises:
        ValueError: the two have different figures or numbers of cases, or there is no case.
    """
    shapes = [{name: len(values) for name, values in side.items()} for side in (first, second)]
    if shapes[0] != shapes[1] or len(set(shapes[0].values())) != 1 or 0 in shapes[0].values():
        raise ValueError(f"expected the same figures of the same cases, at least one, got {shapes[0]} and {shapes[1]}")
    differences = np.stack([second[name] - values for name, values in first.items()], axis=1)
    num_cases = len(differences)
    generator = np.random.default_rng(seed)
    means = np.empty((num_resamples, differences.shape[1]))
    for resample in means:
        times_drawn = np.bincount(generator.integers(num_cases, size=num_cases), minlength=num_cases)
        resample[:] = times_drawn @ differences / num_cases
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    observed = differences.mean(axis=0)
    return {
        name: Difference(*map(float, (values.mean(), second[name].mean(), observed[place], low[place], high[place])))
        for place, (name, values) in enumerate(first.items())
    }
