"""Two models on the same cases: the difference of their means, with an interval by a bootstrap that is paired per case.

Each resample draws as many cases as there are, with replacement, and takes both models' figures of the drawn cases, so
that what makes a case hard for both cancels out (Efron & Tibshirani 1993; Sakai 2006 for rankings). Where there are
several seeds, as many of these are drawn too, for all the cases of a resample (Owen 2007, "The pigeonhole bootstrap").
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray


class Difference(NamedTuple):
    """Of one figure, second model minus first; the interval holds 95 % of the resamples' differences."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    """The differences that `difference` is the mean of."""


def paired_differences(
    first: Mapping[str, Float64[ndarray, "*_"]],
    second: Mapping[str, Float64[ndarray, "*_"]],
    *,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Difference]:
    """For every figure, given per case, or per seed and case; all figures share the resamples.

    The cases of both sides are the same in the same order, and the seeds of both are pairs.

    Raises:
        ValueError: the two have different figures or numbers of seeds or cases, or there is no case.
    """
    shapes = [{name: values.shape for name, values in side.items()} for side in (first, second)]
    if shapes[0] != shapes[1] or len(set(shapes[0].values())) != 1 or 0 in next(iter(shapes[0].values())):
        raise ValueError(f"expected the same figures of the same cases, at least one, got {shapes[0]} and {shapes[1]}")
    differences = np.stack([np.atleast_2d(second[name] - values) for name, values in first.items()], axis=2)
    num_seeds, num_cases, _ = differences.shape
    generator = np.random.default_rng(seed)
    means = np.empty((num_resamples, len(first)))
    for resample in means:
        of_seeds = _times_drawn(generator, num_seeds) if num_seeds > 1 else np.ones(1)
        by_seed = _times_drawn(generator, num_cases) @ differences
        resample[:] = of_seeds @ by_seed / (num_seeds * num_cases)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    by_seed = differences.mean(axis=1)
    found = zip(first, by_seed.T.tolist(), low.tolist(), high.tolist(), strict=True)
    return {
        name: Difference(
            float(first[name].mean()), float(second[name].mean()), float(np.mean(seeds)), lowest, highest, tuple(seeds)
        )
        for name, seeds, lowest, highest in found
    }


def _times_drawn(generator: np.random.Generator, number: int) -> Int[ndarray, " number"]:
    """How often each is drawn when as many are drawn as there are."""
    return np.bincount(generator.integers(number, size=number), minlength=number)
