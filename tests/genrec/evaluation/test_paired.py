"""The paired bootstrap on differences that are known."""

import math

import numpy as np
import pytest

from genrec.evaluation.paired import paired_differences


def test_means_and_their_difference_are_exact():
    found = paired_differences({"hit": np.array([1.0, 0.0, 0.0, 1.0])}, {"hit": np.array([1.0, 1.0, 0.0, 1.0])})["hit"]
    assert (found.first, found.second, found.difference) == (0.5, 0.75, 0.25)


def test_a_difference_that_is_the_same_for_everybody_has_no_width():
    hard = np.random.default_rng(0).random(50)
    found = paired_differences({"x": hard}, {"x": hard + 0.125}, num_resamples=200)["x"]
    assert (found.low, found.high) == (pytest.approx(0.125), pytest.approx(0.125))


def test_the_interval_is_that_of_a_mean_of_many_cases():
    differences = np.repeat([-1.0, 0.0, 1.0], [100, 700, 200])  # mean 0.1, variance 0.3 - 0.01
    error = math.sqrt(0.29 / 1000)
    found = paired_differences({"x": np.zeros(1000)}, {"x": differences}, num_resamples=10_000)["x"]
    assert found.low == pytest.approx(0.1 - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(0.1 + 1.96 * error, abs=0.1 * error)


def test_resamples_agree_with_a_loop_that_draws_cases():
    values = np.array([0.0, 0.5, 2.0, -1.0])
    generator, means = np.random.default_rng(7), []
    for _ in range(100):
        means.append(values[generator.integers(4, size=4)].mean())
    found = paired_differences({"x": np.zeros(4)}, {"x": values}, num_resamples=100, seed=7)["x"]
    assert (found.low, found.high) == tuple(map(pytest.approx, np.quantile(means, [0.025, 0.975])))


def test_one_seed_draws_the_same_for_every_figure():
    values = np.random.default_rng(1).random(30)
    zeros = np.zeros(30)
    found = paired_differences({"x": zeros, "y": zeros}, {"x": values, "y": values}, num_resamples=50)
    assert found["x"] == found["y"]


@pytest.mark.parametrize(
    "second", [{"x": np.zeros(3)}, {"y": np.zeros(2)}, {}], ids=["other cases", "other figures", "no figures"]
)
def test_figures_that_are_no_pairs_are_refused(second):
    with pytest.raises(ValueError, match="same figures of the same cases"):
        paired_differences({"x": np.zeros(2)}, second)
