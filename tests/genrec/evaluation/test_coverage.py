"""What all lists show together, against counts that can be made by hand and against sorted lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genrec.evaluation.coverage import (
    coverage_of,
    fewest_distinct_items,
    popular_items,
    share_of_popular,
    times_listed,
    times_listed_by_scores,
)


def test_items_listed_alike_have_gini_zero_and_one_item_for_all_has_one_less_than_one_in_items():
    alike = coverage_of(np.full(40, 5), num_lists=20)
    assert (alike.gini, alike.share_of_items, alike.collapsed) == (pytest.approx(0), 1.0, False)
    one = coverage_of(np.eye(1, 40, dtype=np.int64)[0] * 7, num_lists=7)
    assert one.gini == pytest.approx(39 / 40)
    assert (one.distinct_items, one.share_of_items, one.collapsed) == (1, 1 / 40, True)


def test_a_half_listed_twice_as_often_as_the_other_has_gini_one_sixth():
    assert coverage_of(np.array([1, 1, 2, 2]), num_lists=1).gini == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("num_items", "num_lists", "fewest"),
    [(2_420, 4_905, 50), (12_101, 22_363, 121.01), (60, 1_000, 30), (1_000, 4, 20)],
)
def test_collapse_is_five_lists_or_one_percent_but_at_most_half_of_what_is_possible(num_items, num_lists, fewest):
    assert fewest_distinct_items(num_items=num_items, num_lists=num_lists) == pytest.approx(fewest)
    at_edge = np.zeros(num_items, dtype=np.int64)
    at_edge[: int(np.ceil(fewest))] = 1
    assert not coverage_of(at_edge, num_lists=num_lists).collapsed
    at_edge[0] = 0
    assert coverage_of(at_edge, num_lists=num_lists).collapsed


def test_lists_without_an_item_are_an_error():
    with pytest.raises(ValueError, match="at least one item"):
        coverage_of(np.zeros(3, dtype=np.int64), num_lists=2)


def test_only_the_first_ten_of_a_list_count_and_its_filling_does_not():
    long, short = np.arange(12), np.array([11, 0] + [-1] * 10)
    assert times_listed(np.stack([long, short]), num_items=12).tolist() == [2] + [1] * 9 + [0, 1]


def test_a_constant_score_shows_everybody_the_same_ten_items():
    assert times_listed_by_scores(np.zeros((30, 15), dtype=np.float32)).tolist() == [30] * 10 + [0] * 5


@given(arrays(np.float32, (3, 14), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0, 3.0])))
def test_lists_by_scores_are_the_heads_of_rows_sorted_by_score_and_row(scores):
    plain = np.zeros(14, dtype=np.int64)
    for case in scores:
        best = sorted(range(14), key=lambda row: (-case[row], row))[:10]
        for row in best:
            plain[row] += case[row] > -np.inf
    assert times_listed_by_scores(scores).tolist() == plain.tolist()


def test_the_tenth_taken_most_is_popular_and_ties_at_its_edge_have_equal_parts():
    assert popular_items(np.arange(20)).tolist() == [0.0] * 18 + [1.0, 1.0]
    tied = popular_items(np.array([9, 5, 5, 5, 5, *[1] * 15]))
    assert tied.tolist() == [1.0, *[0.25] * 4, *[0.0] * 15]
    assert popular_items(np.zeros(15, dtype=np.int64)).tolist() == pytest.approx([2 / 15] * 15)  # a tenth, rounded up


def test_the_share_of_popular_items_counts_places_in_lists():
    popular = np.array([1.0, 0.5, 0.0, 0.0])
    assert share_of_popular(np.array([4, 2, 3, 1]), popular) == 0.5
    assert share_of_popular(np.array([0, 0, 3, 1]), popular) == 0.0
