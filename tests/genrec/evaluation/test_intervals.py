"""The bootstrap of a mean, against the one that draws cases and against what is known."""

import math

import numpy as np
import pytest

from genrec.evaluation.intervals import mean_interval


def test_the_interval_is_that_of_a_mean_of_many_cases():
    values = np.repeat([-1.0, 0.0, 1.0], [100, 700, 200])  # mean 0.1, variance 0.3 - 0.01
    error = math.sqrt(0.29 / 1000)
    found = mean_interval(values)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(0.1 + 1.96 * error, abs=0.1 * error)


def test_it_agrees_with_a_loop_that_draws_cases():
    generator = np.random.default_rng(1)
    values = generator.choice([0.0, 0.5, 1.0], size=200, p=[0.6, 0.3, 0.1])
    means = [generator.choice(values, size=200).mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    found = mean_interval(values)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_many_distinct_values_are_drawn_in_parts_and_stay_the_same():
    values = np.random.default_rng(0).random(3000)
    found = mean_interval(values, num_resamples=1000)
    assert found == mean_interval(values, num_resamples=1000)
    error = values.std() / math.sqrt(3000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_equal_values_have_no_width_and_no_cases_are_an_error():
    found = mean_interval(np.full(7, 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="no case"):
        mean_interval(np.array([]))
