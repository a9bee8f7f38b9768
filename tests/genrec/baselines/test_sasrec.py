"""SASRec: what a state may see, both losses by hand, and negatives against a plain set difference."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from genrec.baselines import sasrec
from genrec.baselines.sasrec import SASRecConfig, one_negative_loss, original_sasrec, unseen_items
from genrec.data.batches import Batch

NUM_ITEMS = 9


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SASRecConfig(width=8, num_heads=2, feed_forward_dim=16, max_items=4).build(NUM_ITEMS).eval()


BATCH = Batch(torch.tensor([[3, 5, 7], [2, -1, -1]]), torch.tensor([[5, 7, 1], [4, -1, -1]]))


def test_the_future_does_not_change_a_state(model):
    early = model(torch.tensor([[3, 5]]), torch.tensor([[5, 7]])).states
    late = model(torch.tensor([[3, 5, 8, 0]]), torch.tensor([[5, 7, 0, 1]])).states
    torch.testing.assert_close(early, late[:2])
    changed = model(torch.tensor([[4, 5]]), torch.tensor([[5, 7]])).states
    assert (early[1] - changed[1]).abs().max() > 1e-4


def test_scores_are_the_logits_of_the_newest_item(model):
    prediction = model(*BATCH)
    scores = model.scores([np.array([3, 5, 7]), np.array([2])])
    assert scores.shape == (2, NUM_ITEMS)
    expected = prediction.states[[2, 3]] @ prediction.item_vectors.T
    torch.testing.assert_close(torch.from_numpy(scores), expected.detach())


def test_only_the_newest_items_are_read(model):
    history = np.array([0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(model.scores([history]), model.scores([history[-4:]]))


def test_the_full_loss_is_cross_entropy_over_the_catalogue(model):
    loss = SASRecConfig().objective().losses(model, BATCH).total
    states, vectors = model(*BATCH)
    plain = cross_entropy(states @ vectors.T, torch.tensor([5, 7, 1, 4]), reduction="sum")
    torch.testing.assert_close(loss, plain)


def test_an_untrained_model_is_as_unsure_as_it_can_be(model):
    losses = SASRecConfig().objective().losses(model, BATCH)
    assert losses.parts["nll_item"].item() / 4 == pytest.approx(math.log(NUM_ITEMS), abs=0.1)


def test_the_loss_with_one_negative_by_hand():
    states, vectors = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.5, -1.0]])
    # logits 3 of the target and -1.5 of the negative
    expected = -math.log(1 / (1 + math.exp(-3))) - math.log(1 - 1 / (1 + math.exp(1.5)))
    loss = one_negative_loss(states, vectors, rows=torch.tensor([0]), negatives=torch.tensor([1]))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_objective_with_one_negative_draws_none_of_its_window(model, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        sasrec, "one_negative_loss", lambda *_, rows, negatives: drawn.append(negatives) or torch.zeros(())
    )
    for _ in range(30):
        original_sasrec().objective().losses(model, BATCH)
    of_targets = torch.stack(drawn).T  # 30 draws for each of the four targets, three in the first window
    assert not set(of_targets[:3].flatten().tolist()) & {3, 5, 7, 1}
    assert not set(of_targets[3].tolist()) & {2, 4}


def test_an_untrained_model_is_as_unsure_about_one_negative_as_it_can_be(model):
    losses = original_sasrec().objective().losses(model, BATCH)
    assert losses.total.item() / 4 == pytest.approx(2 * math.log(2), abs=0.1)


@settings(deadline=None, max_examples=50)
@given(seen=st.lists(st.integers(-1, 6), min_size=1, max_size=8), num_items=st.integers(8, 12))
def test_unseen_items_are_those_that_are_not_seen(seen, num_items):
    drawn = unseen_items(torch.tensor([seen]), 400, num_items=num_items)
    assert set(drawn[0].tolist()) == set(range(num_items)) - set(seen)


def test_unseen_items_are_drawn_alike():
    torch.manual_seed(0)
    counts = Counter(unseen_items(torch.tensor([[1, 3, 3, -1]]), 9000, num_items=5)[0].tolist())
    assert all(abs(counts[row] - 3000) < 200 for row in (0, 2, 4))


def test_a_window_with_every_item_has_no_negative():
    with pytest.raises(ValueError, match="all 3 items"):
        unseen_items(torch.tensor([[2, 0, 1]]), 1, num_items=3)


@pytest.mark.parametrize(
    ("key", "value"), [("width", 0), ("width", 63), ("num_layers", 0), ("max_items", 1), ("dropout", 1.0)]
)
def test_sizes_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        SASRecConfig(**{key: value})
