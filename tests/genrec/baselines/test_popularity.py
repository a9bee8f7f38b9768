"""Popularity counts, and what all counting baselines have in common."""

import numpy as np
import pytest

from genrec.baselines import COUNTING, Popularity
from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out

INTERACTIONS = Interactions(
    user_ids=np.array(["a", "b"]),
    item_ids=np.array(["x", "y", "z", "never"]),
    offsets=np.array([0, 5, 7]),
    items=np.array([0, 1, 0, 2, 2, 1, 1], dtype=np.int32),
    times=None,
)


def test_score_is_the_number_of_training_interactions():
    model = Popularity().fit(INTERACTIONS, leave_one_out(INTERACTIONS))
    # user a trains on x, y, x; user b has two interactions and only trains
    assert model.scores([np.array([0]), np.array([2])]).tolist() == [[2, 3, 0, 0]] * 2


def test_scoring_before_fitting_is_an_error():
    with pytest.raises(ValueError, match="call fit"):
        Popularity().scores([np.array([0])])


@pytest.mark.parametrize("name", ["popularity", "transitions", "item_knn"])
def test_every_counting_baseline_is_built_by_name_and_gives_one_float32_row_a_history(name):
    model = COUNTING[name]().fit(INTERACTIONS, leave_one_out(INTERACTIONS))
    scores = model.scores([np.array([0, 1]), np.array([2])])
    assert scores.shape == (2, 4)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("name", ["transitions", "item_knn"])
def test_history_row_outside_the_catalogue_is_an_error(name):
    model = COUNTING[name]().fit(INTERACTIONS, leave_one_out(INTERACTIONS))
    with pytest.raises(ValueError, match="exceeds matrix dimension"):
        model.scores([np.array([4])])
