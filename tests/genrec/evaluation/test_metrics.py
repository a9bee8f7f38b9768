"""Recall and NDCG against numbers that can be worked out by hand, and against shuffled rankings."""

import itertools
import math

import numpy as np
import pytest

from genrec.evaluation.metrics import (
    Places,
    expected_metrics_at,
    found_in,
    metrics_at,
    ndcg_at,
    ranks_in_lists,
    recall_at,
    target_places,
    target_ranks,
)

INF = np.inf


def test_rank_is_the_number_of_items_that_score_higher():
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.1]])
    assert target_ranks(scores, np.array([2, 0])).tolist() == [2.0, 0.0]


def test_two_tied_items_share_the_mean_of_their_places():
    scores = np.array([[3.0, 1.0, 1.0, 0.0]])
    assert target_ranks(scores, np.array([2])).tolist() == [1.5]


def test_constant_score_puts_every_target_in_the_middle():
    scores = np.zeros((3, 5))
    assert target_ranks(scores, np.array([0, 2, 4])).tolist() == [2.0, 2.0, 2.0]


def test_rank_does_not_depend_on_the_order_of_rows():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 4, size=(20, 9)).astype(np.float32)
    targets, shuffle = generator.integers(0, 9, size=20), generator.permutation(9)
    moved = np.argsort(shuffle)[targets]
    np.testing.assert_array_equal(target_ranks(scores, targets), target_ranks(scores[:, shuffle], moved))


def test_excluded_items_leave_the_ranking_and_its_ties():
    scores = np.array([[9.0, 8.0, 5.0, 5.0, 5.0]])
    excluded = [np.array([0, 0, 3])]  # a repeat counts once
    assert target_ranks(scores, np.array([4]), excluded=excluded).tolist() == [1.5]


def test_excluding_leaves_the_callers_scores_as_they_were():
    scores = np.array([[2.0, 1.0]])
    target_ranks(scores, np.array([1]), excluded=[np.array([0])])
    assert scores.tolist() == [[2.0, 1.0]]


def test_target_that_is_excluded_or_minus_infinity_is_not_found():
    scores = np.array([[2.0, 1.0], [-INF, -INF], [0.0, 1.0]])
    excluded = [np.array([0]), np.array([], dtype=np.int64), np.array([], dtype=np.int64)]
    assert target_ranks(scores, np.array([0, 1, 0]), excluded=excluded).tolist() == [INF, INF, 1.0]


@pytest.mark.parametrize(
    ("scores", "target", "excluded", "message"),
    [
        ([[1.0, math.nan]], 0, None, "NaN"),
        ([[1.0, 2.0]], 2, None, r"0\.\.1, got 2"),
        ([[1.0, 2.0]], -1, None, r"0\.\.1, got -1"),
        ([[1.0, 2.0]], 0, [], "expected 1, got 0"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, target, excluded, message):
    with pytest.raises(ValueError, match=message):
        target_ranks(np.array(scores), np.array([target]), excluded=excluded)


def test_rank_in_list_is_the_position_and_infinity_where_absent():
    rows = np.array([[4, 7, 2], [5, -1, -1], [3, 1, -1]])
    targets = np.array([2, 9, 3])
    assert ranks_in_lists(rows, targets).tolist() == [2.0, INF, 0.0]
    assert found_in(rows, targets).tolist() == [True, False, True]


def test_empty_lists_find_nothing():
    assert found_in(np.empty((2, 0), dtype=np.int64), np.array([0, 1])).tolist() == [False, False]


def test_negative_target_is_not_found_in_the_filling_of_a_list():
    with pytest.raises(ValueError, match="got -1"):
        ranks_in_lists(np.array([[3, -1]]), np.array([-1]))


def test_recall_counts_targets_before_the_cutoff():
    ranks = np.array([0.0, 4.0, 4.5, 5.0, INF])
    assert recall_at(ranks, 5) == pytest.approx(3 / 5)


def test_ndcg_of_target_at_first_rank_is_one():
    assert ndcg_at(np.array([0.0]), 5) == 1.0


def test_ndcg_of_target_at_second_rank_is_one_over_log2_of_three():
    assert ndcg_at(np.array([1.0]), 5) == pytest.approx(1 / math.log2(3))


def test_ndcg_is_the_mean_over_cases_and_zero_behind_the_cutoff():
    assert ndcg_at(np.array([0.0, 2.0, 5.0, INF]), 5) == pytest.approx((1 + 0.5) / 4)


def test_metrics_are_named_by_their_cutoff_in_the_order_given():
    metrics = metrics_at(np.array([0.0, 6.0]), cutoffs=(5, 10))
    assert list(metrics) == ["recall@5", "ndcg@5", "recall@10", "ndcg@10"]
    assert list(metrics.values()) == pytest.approx([0.5, 0.5, 1.0, (1 + 1 / 3) / 2])


def test_no_cases_and_cutoff_zero_are_errors():
    with pytest.raises(ValueError, match="no case"):
        metrics_at(np.array([]))
    with pytest.raises(ValueError, match="got 0"):
        recall_at(np.array([1.0]), 0)


def test_expected_recall_of_a_constant_score_is_the_share_of_the_catalogue():
    places = target_places(np.zeros((2, 40)), np.array([0, 39]))
    assert expected_metrics_at(places, cutoffs=(10,))["recall@10"] == pytest.approx(10 / 40)


def test_expected_metrics_are_the_mean_over_all_orders_of_the_tie():
    scores = np.array([[2.0, 1.0, 1.0, 1.0, 0.0]])  # the target, row 1, may stand at places 1, 2 and 3
    expected = expected_metrics_at(target_places(scores, np.array([1])), cutoffs=(3,))
    recalls, ndcgs = [], []
    for order in itertools.permutations([1, 2, 3]):
        place = [0, *order, 4].index(1)
        recalls.append(place < 3)
        ndcgs.append(1 / math.log2(place + 2) if place < 3 else 0.0)
    assert expected == pytest.approx({"recall@3": np.mean(recalls), "ndcg@3": np.mean(ndcgs)})


def test_both_readings_of_ties_agree_where_nothing_ties():
    places = Places(best=np.array([0.0, 3.0, 12.0, INF]), worst=np.array([0.0, 3.0, 12.0, INF]))
    assert expected_metrics_at(places) == pytest.approx(metrics_at(places.ranks))
