"""The softmax in chunks against torch's over all logits at once."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy

from genrec.generator import item_softmax
from genrec.generator.item_softmax import ItemScores, Shifts, item_softmax_cross_entropy


def inputs(num_targets, num_items, width=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(num_targets * 1000 + num_items)
    states = torch.randn(num_targets, width, generator=generator, dtype=dtype)
    vectors = torch.randn(num_items, width, generator=generator, dtype=dtype)
    rows = torch.randint(num_items, (num_targets,), generator=generator)
    return states.requires_grad_(), vectors.requires_grad_(), rows


def value_and_gradients(loss, *leaves):
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def test_two_items_with_equal_logits_cost_log_two_a_target():
    states, vectors = torch.zeros(3, 4), torch.randn(2, 4)
    assert item_softmax_cross_entropy(states, vectors, torch.tensor([0, 1, 1])).item() == pytest.approx(3 * math.log(2))


@settings(deadline=None, max_examples=40)
@given(
    num_targets=st.integers(1, 12),
    num_items=st.integers(1, 9),
    chunk=st.integers(1, 40),
    smoothing=st.sampled_from([0.0, 0.1, 0.7]),
)
def test_any_chunks_give_the_value_and_gradients_of_torch(num_targets, num_items, chunk, smoothing):
    states, vectors, rows = inputs(num_targets, num_items)
    plain = cross_entropy(states @ vectors.T, rows, reduction="sum", label_smoothing=smoothing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_softmax, "_LOGITS_PER_CHUNK", chunk)
        ours = item_softmax_cross_entropy(states, vectors, rows, label_smoothing=smoothing)
    for got, expected in zip(
        value_and_gradients(3 * ours, states, vectors), value_and_gradients(3 * plain, states, vectors), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-8)


@settings(deadline=None, max_examples=30)
@given(num_targets=st.integers(1, 9), num_items=st.integers(1, 7), chunk=st.integers(1, 30), smooth=st.booleans())
def test_shifted_logits_and_their_gradients_are_those_of_torch(num_targets, num_items, chunk, smooth):
    states, vectors, rows = inputs(num_targets, num_items)
    columns = torch.randint(num_items, (num_targets, 4))  # some of them several times
    shifts = Shifts(columns, torch.randn(num_targets, 4, dtype=torch.float64, requires_grad=True))
    leaves, smoothing = (states, vectors, shifts.values), 0.3 * smooth
    logits = ItemScores(states, vectors, shifts).logits()
    plain = cross_entropy(logits, rows, reduction="sum", label_smoothing=smoothing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_softmax, "_LOGITS_PER_CHUNK", chunk)
        ours = item_softmax_cross_entropy(states, vectors, rows, label_smoothing=smoothing, shifts=shifts)
    for got, expected in zip(
        value_and_gradients(3 * ours, *leaves), value_and_gradients(3 * plain, *leaves), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-8)


def test_the_observer_sees_every_target_s_softmax_once():
    states, vectors, rows = inputs(7, 5)
    seen = torch.zeros(7, 5, dtype=torch.float64)

    def observe(part, shares):
        seen[part] += shares / shares.sum(1, keepdim=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_softmax, "_LOGITS_PER_CHUNK", 10)
        item_softmax_cross_entropy(states, vectors, rows, observer=observe)
    torch.testing.assert_close(seen, (states @ vectors.T).softmax(-1))


def test_gradients_are_those_of_small_differences():
    states, vectors, rows = inputs(4, 6)
    assert gradcheck(lambda s, v: item_softmax_cross_entropy(s, v, rows, label_smoothing=0.2), (states, vectors))


def test_large_logits_do_not_overflow():
    states, vectors = torch.tensor([[1000.0]]), torch.tensor([[1.0], [0.0]])
    assert item_softmax_cross_entropy(states, vectors, torch.tensor([1])).item() == 1000.0


def test_half_precision_is_summed_in_float32_and_its_gradient_comes_back_in_half():
    states, vectors, rows = inputs(6, 50, dtype=torch.bfloat16)
    ours = item_softmax_cross_entropy(states, vectors, rows)
    plain = cross_entropy(states.float() @ vectors.float().T, rows, reduction="sum")
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, plain)
    assert torch.autograd.grad(ours, states)[0].dtype == torch.bfloat16


def test_no_targets_cost_nothing():
    states, vectors, rows = inputs(0, 4)
    loss, *gradients = value_and_gradients(item_softmax_cross_entropy(states, vectors, rows), states, vectors)
    assert loss == 0 and gradients[1].abs().sum() == 0


@pytest.mark.parametrize("row", [-1, 4])
def test_a_row_outside_the_catalogue_is_refused(row):
    states, vectors, _ = inputs(1, 4)
    with pytest.raises(IndexError, match=f"0..3, got {row}"):
        item_softmax_cross_entropy(states, vectors, torch.tensor([row]))
