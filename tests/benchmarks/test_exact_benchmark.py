"""The pure parts of the benchmark of exact lists; what it measures is run by hand."""

import math

import pytest

from benchmarks import exact as benchmark
from benchmarks.exact import distance_to_top, histogram, noted_widths
from genrec.recommendation import recommender
from genrec.recommendation.exact import Limits
from genrec.recommendation.lists import Recommendation, RecommendationList

SCORES = {"a": -1.0, "b": -2.0, "c": -2.0, "d": -5.0}


def listed(*entries):
    return RecommendationList(tuple(Recommendation(item, score) for item, score in entries), len(entries))


def test_a_true_top_is_at_distance_zero_however_its_ties_fall():
    assert distance_to_top(listed(("a", -1.0), ("b", -2.0)), SCORES) == 0
    assert distance_to_top(listed(("a", -1.0), ("c", -2.0)), SCORES) == 0
    assert distance_to_top(listed(), SCORES) == 0


def test_a_wrong_score_and_a_wrong_item_are_both_seen():
    assert distance_to_top(listed(("a", -1.5)), SCORES) == 0.5
    assert distance_to_top(listed(("a", -1.0), ("d", -2.0)), SCORES) == 3  # d scores -5 where -2 was due


@pytest.mark.parametrize("items", [("a", "a"), ("a", "x"), ("a", "b", "c", "d", "a")])
def test_repeated_and_unknown_items_are_as_wrong_as_can_be(items):
    assert distance_to_top(listed(*((item, -1.0) for item in items)), SCORES) == math.inf


def test_beams_are_counted_by_powers_of_two():
    assert histogram([1, 2, 3, 4, 5, 16]) == {"<=1": 1, "<=2": 1, "<=4": 2, "<=8": 1, "<=16": 1}


def test_the_last_beam_of_every_list_is_noted():
    unproven = RecommendationList((Recommendation("a", math.log(1 / 90)),), 0)
    limits = Limits(beam_size=50, level_size=4, batch_size=4)
    with noted_widths(2) as widths:
        recommender.prove(
            [listed(("a", -1.0)), unproven], lambda places, width: [unproven], beam_size=20, limits=limits
        )
    assert widths == [20, 50]
    assert benchmark.exact.prove is recommender.prove  # and is put back
