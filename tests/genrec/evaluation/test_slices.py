"""Every case in one slice, with figures that can be worked out by hand."""

import math

import numpy as np
import pytest

from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out, test_cases
from genrec.evaluation.metrics import Places
from genrec.evaluation.slices import (
    HISTORY_LENGTH_FROM,
    POPULARITY_FROM,
    history_lengths,
    slice_figures,
    slice_names,
    training_counts,
)


def test_slices_are_named_by_their_first_and_last_size():
    assert slice_names(POPULARITY_FROM) == ["0", "1-4", "5-9", "10-49", "50+"]
    assert slice_names(HISTORY_LENGTH_FROM) == ["1-4", "5-9", "10-19", "20+"]


def test_each_case_is_in_the_slice_of_its_size():
    sizes = np.array([0, 1, 4, 5, 9, 10, 49, 50, 7_000])
    found = slice_figures(sizes, POPULARITY_FROM, {})
    assert [part["cases"] for part in found.values()] == [1, 2, 2, 2, 2]


def test_figures_of_a_slice_are_those_of_its_cases_alone():
    ranks = np.array([0.0, 1.0, np.inf, 12.0])
    found = slice_figures(np.array([0, 3, 3, 60]), POPULARITY_FROM, {"test": {"own": Places(ranks, ranks)}})
    assert found["0"]["test"]["own"] == {"recall@10": 1.0, "ndcg@10": 1.0}
    assert found["1-4"]["test"]["own"]["recall@10"] == 0.5
    assert found["1-4"]["test"]["own"]["ndcg@10"] == pytest.approx(0.5 / math.log2(3))
    assert found["50+"]["test"]["own"] == {"recall@10": 0.0, "ndcg@10": 0.0}


def test_an_empty_slice_has_no_figures_and_a_tie_counts_in_part():
    tied = Places(np.array([8.0]), np.array([11.0]))  # two of its four places are in the list
    found = slice_figures(np.array([2]), (0, 1), {"test": {"own": tied}})
    assert found["0"] == {"cases": 0, "test": {"own": {"recall@10": None, "ndcg@10": None}}}
    assert found["1+"]["test"]["own"]["recall@10"] == 0.5


def test_popularity_counts_training_only_and_histories_count_everything_before_the_target():
    interactions = Interactions(
        user_ids=np.array(["a", "b"]),
        item_ids=np.array(["i", "j", "k"]),
        offsets=np.array([0, 4, 7]),
        items=np.array([0, 0, 1, 2, 0, 1, 2], dtype=np.int32),
    )
    splits = leave_one_out(interactions)
    assert training_counts(interactions, splits).tolist() == [3, 0, 0]
    assert history_lengths(interactions, test_cases(interactions, splits)).tolist() == [3, 2]
