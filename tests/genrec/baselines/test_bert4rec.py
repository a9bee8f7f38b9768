"""BERT4Rec: which items are masked, what a mask sees, and the loss at masks."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from genrec.baselines.bert4rec import BERT4RecConfig, ClozeObjective, appended
from genrec.data.batches import Batch

NUM_ITEMS = 9
SEQUENCES = torch.tensor([[3, 5, 7, 1], [2, 4, -1, -1]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BERT4RecConfig(width=8, feed_forward_dim=16, max_items=4).build(NUM_ITEMS).eval()


def test_a_sequence_is_its_history_and_its_newest_target():
    assert appended(torch.tensor([[3, 5], [2, -1]]), torch.tensor([7, 4])).tolist() == [[3, 5, 7], [2, 4, -1]]


def test_masked_items_are_targets_and_padding_never_is():
    torch.manual_seed(0)
    hidden = torch.stack([ClozeObjective(0.5, 0.0).hide(SEQUENCES) for _ in range(400)])
    assert ((hidden == -1) | (hidden == SEQUENCES)).all()
    assert ((hidden >= 0).sum(2) >= 1).all()
    # each of four items with chance 1/2, and the newest alone where none was drawn
    shares = (hidden[:, 0] >= 0).float().mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.5, 0.5, 0.5 + 1 / 16]), atol=0.08, rtol=0)


def test_the_newest_item_alone_is_masked_if_that_is_asked_for():
    assert ClozeObjective(0.5, 1.0).hide(SEQUENCES).tolist() == [[-1, -1, -1, 1], [-1, 4, -1, -1]]


def test_a_mask_sees_both_sides_but_not_what_is_behind_it(model):
    hidden = torch.tensor([[-1, 5, -1]])
    state = model(torch.tensor([[3, 5, 7]]), hidden).states
    torch.testing.assert_close(state, model(torch.tensor([[3, 6, 7]]), torch.tensor([[-1, 6, -1]])).states)
    for other in ([4, 5, 7], [3, 5, 8]):
        assert (state - model(torch.tensor([other]), hidden).states).abs().max() > 1e-4


def test_padding_changes_nothing(model):
    hidden = torch.tensor([[-1, 5]])
    padded = model(torch.tensor([[3, 5, -1]]), torch.tensor([[-1, 5, -1]])).states
    torch.testing.assert_close(model(torch.tensor([[3, 5]]), hidden).states, padded)


def test_scores_are_the_logits_of_a_mask_behind_the_history(model):
    states, vectors = model(torch.tensor([[3, 5, 0]]), torch.tensor([[-1, -1, 0]]))
    scores = model.scores([np.array([8, 1, 3, 5])[-2:]])
    assert scores.shape == (1, NUM_ITEMS)
    torch.testing.assert_close(torch.from_numpy(scores), (states @ vectors.T).detach())


def test_the_loss_is_the_mean_over_masks_times_the_targets(model):
    batch = Batch(torch.tensor([[3, 5, 7], [2, -1, -1]]), torch.tensor([[5, 7, 1], [4, -1, -1]]))
    loss = ClozeObjective(0.3, 1.0).losses(model, batch).total
    states, vectors = model(SEQUENCES, torch.tensor([[-1, -1, -1, 1], [-1, 4, -1, -1]]))
    torch.testing.assert_close(loss, 4 * cross_entropy(states @ vectors.T, torch.tensor([1, 4])))


@pytest.mark.parametrize(("key", "value"), [("masked_share", 0.0), ("only_newest_share", 1.5), ("num_heads", 3)])
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        BERT4RecConfig(**{key: value})
