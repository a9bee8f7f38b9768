import pytest
import torch

from genrec.generator.layers import Dropout


def test_dropout_zeroes_its_share_and_scales_up_the_rest():
    torch.manual_seed(0)
    dropped = Dropout(0.25)(torch.ones(1000, 101))
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)


def test_every_place_is_dropped_equally_often():
    torch.manual_seed(0)
    zeros = sum((Dropout(0.5)(torch.ones(16)) == 0).float() for _ in range(4000)) / 4000
    assert zeros.tolist() == pytest.approx([0.5] * 16, abs=0.04)


def test_the_same_seed_drops_the_same_places():
    first, second = (torch.manual_seed(3) and Dropout(0.5)(torch.ones(50)) for _ in range(2))
    assert torch.equal(first, second)


def test_nothing_is_dropped_outside_of_training():
    states = torch.randn(5)
    assert torch.equal(Dropout(0.9).eval()(states), states)
    assert torch.equal(Dropout(0.0)(states), states)


def test_gradients_flow_through_what_was_kept():
    states = torch.ones(64, requires_grad=True)
    dropped = Dropout(0.5)(states)
    dropped.sum().backward()
    assert torch.equal(states.grad, dropped.detach())
