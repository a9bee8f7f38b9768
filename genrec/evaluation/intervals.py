"""A mean over cases with an interval by a bootstrap over the cases, at a cost that hardly grows with their number."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

_DRAWN_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """The mean of a figure; between `low` and `high` lie 95 % of the means of the resamples."""

    mean: float
    low: float
    high: float


def mean_interval(values: Float64[ndarray, " cases"], *, num_resamples: int = 10_000, seed: int = 0) -> Interval:
    """Of a figure that is given per case, or of the difference of two, which pairs them.

    A resample draws as many cases as there are, with replacement (Efron & Tibshirani 1993). How often each distinct
    value is drawn is multinomial, so that is what is drawn: figures at a cutoff have few distinct values.

    Raises:
        ValueError: there is no case.
    """
    if not len(values):
        raise ValueError("there is no case to average over: expected at least one value, got none")
    distinct, counts = np.unique(values, return_counts=True)
    generator, means = np.random.default_rng(seed), []
    at_once = max(1, _DRAWN_AT_ONCE // len(distinct))
    for start in range(0, num_resamples, at_once):
        size = min(at_once, num_resamples - start)
        drawn = generator.multinomial(len(values), counts / len(values), size=size)
        means.append(drawn @ distinct / len(values))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
