"""The prefix losses against their definitions, written as loops over plain numbers and sets."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.generator.prefix_losses import (
    PrefixLossConfig,
    distinct_prefixes,
    pairwise_losses,
    pointwise_losses,
    update_weights,
)
from genrec.generator.prefixes import Prefixes
from trie import PrefixTrie


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def plain_pairwise(target, negatives, distinct, *, num_prefixes, tau, per_code):
    """One level after the other, one target after the other."""
    losses = []
    for t in range(1, target.shape[1] + 1):
        total = 0.0
        for row in range(len(target)):
            positive = math.exp(float(target[row, :t].sum()) / tau)
            kept = [n for n in range(negatives.shape[1]) if distinct[row, n, t - 1]]
            correction = 1.0 if num_prefixes is None else (int(num_prefixes[t - 1]) - 1) / (len(kept) + 1)
            others = correction * sum(math.exp(float(negatives[row, n, :t].sum()) / tau) for n in kept)
            total -= math.log(positive / (positive + others)) / (t if per_code else 1)
        losses.append(total)
    return losses


def masked_by_sets(target, negatives):
    """The definition: a negative is out at t if its t-prefix is the target's or an earlier negative's."""
    answer = []
    for t in range(1, len(target) + 1):
        seen, kept = {tuple(target[:t])}, []
        for codes in negatives:
            kept.append(tuple(codes[:t]) not in seen)
            seen.add(tuple(codes[:t]))
        answer.append(kept)
    return np.array(answer).T


def random_case(seed, *, targets=4, negatives=6, levels=3):
    torch.manual_seed(seed)
    own = -torch.rand(targets, levels, dtype=torch.float64) * 5
    others = -torch.rand(targets, negatives, levels, dtype=torch.float64) * 5
    return own, others, torch.rand(targets, negatives, levels) < 0.6


def test_pointwise_loss_of_two_codes_is_the_mean_of_their_costs():
    losses = pointwise_losses(torch.tensor([[-1.0, -3.0], [-2.0, -2.0]]))
    assert losses.tolist() == [3.0, 4.0]  # 1 + 2, (1 + 3) / 2 + (2 + 2) / 2


def test_pointwise_loss_without_the_division_is_the_cost_of_the_prefix():
    assert pointwise_losses(torch.tensor([[-1.0, -3.0], [-2.0, -2.0]]), per_code=False).tolist() == [3.0, 8.0]


def test_pairwise_loss_against_one_equally_likely_rival_is_log_two():
    own, other = numbers(-1.0)[None], numbers(-1.0)[None, None]
    found = pairwise_losses(own, other, torch.ones(1, 1, 1, dtype=torch.bool), num_prefixes=None)
    assert found.item() == pytest.approx(math.log(2))
    # nine prefixes in the catalogue, of which target and rival are two: the rival stands for 8 / 2 = 4
    found = pairwise_losses(own, other, torch.ones(1, 1, 1, dtype=torch.bool), num_prefixes=torch.tensor([9]))
    assert found.item() == pytest.approx(math.log(5))


@pytest.mark.parametrize("num_prefixes", [None, torch.tensor([5, 40, 100]), torch.tensor([1, 1, 2])])
@pytest.mark.parametrize("per_code", [True, False])
@pytest.mark.parametrize("tau", [1.0, 0.5, 3.0])
def test_pairwise_losses_equal_a_double_loop(num_prefixes, per_code, tau):
    case = random_case(0)
    found = pairwise_losses(*case, num_prefixes=num_prefixes, tau=tau, per_code=per_code)
    expected = plain_pairwise(*case, num_prefixes=num_prefixes, tau=tau, per_code=per_code)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_target_without_a_rival_costs_nothing_and_moves_nothing():
    own, others, _ = random_case(1)
    own.requires_grad_(), others.requires_grad_()
    nobody = torch.zeros(others.shape, dtype=torch.bool)
    losses = pairwise_losses(own, others, nobody, num_prefixes=torch.tensor([1, 1, 1]))
    losses.sum().backward()
    assert losses.tolist() == [0.0, 0.0, 0.0]
    assert own.grad.abs().max() == 0 and others.grad.abs().max() == 0


def test_gradients_equal_finite_differences():
    own, others, distinct = random_case(2)
    own.requires_grad_(), others.requires_grad_()
    assert torch.autograd.gradcheck(pointwise_losses, (own,))
    counts = torch.tensor([5, 40, 100])
    pairwise = lambda own, others: pairwise_losses(own, others, distinct, num_prefixes=counts, tau=0.7)  # noqa: E731
    assert torch.autograd.gradcheck(pairwise, (own, others))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 8))
def test_masking_equals_the_definition_by_sets(seed, num_items, levels, level_size, num_negatives):
    random = np.random.default_rng(seed)
    codes = random.integers(0, level_size, (num_items, levels))  # equal codes abound
    prefixes = Prefixes(PrefixTrie.from_codes(codes, level_sizes=[level_size] * levels))
    targets = random.integers(0, num_items, 5)
    negatives = random.integers(0, num_items, (5, num_negatives))
    found = distinct_prefixes(prefixes.of(torch.from_numpy(targets)), prefixes.of(torch.from_numpy(negatives)))
    for row in range(5):
        assert np.array_equal(found[row].numpy(), masked_by_sets(codes[targets[row]], codes[negatives[row]]))
    assert prefixes.counts == tuple(len({tuple(row[:t]) for row in codes}) for t in range(1, levels + 1))


def test_a_level_that_lost_one_nat_more_weighs_e_to_the_eta_more():
    after = update_weights(None, numbers(1.0, 2.0), 0.5)
    assert (after[1] / after[0]).item() == pytest.approx(math.exp(0.5))
    assert after.sum().item() == pytest.approx(1)


def test_weights_are_kept_from_step_to_step():
    after = update_weights(numbers(0.8, 0.2), numbers(0.0, 1.0), math.log(4))
    assert after.tolist() == pytest.approx([0.5, 0.5])  # 0.8 : 0.2 * 4


def test_memoryless_weights_forget_and_follow_the_loss_itself():
    after = update_weights(numbers(0.9, 0.1), numbers(1.0, 3.0), 0.0, weighting="memoryless")
    assert after.tolist() == [0.25, 0.75]
    after = update_weights(None, numbers(1.0, 3.0), math.log(3) / 2, weighting="memoryless")
    assert after.tolist() == pytest.approx([0.1, 0.9])  # 1 : 3 * 3


def test_proportional_weights_start_at_the_losses_and_follow_their_shares():
    first = update_weights(None, numbers(1.0, 3.0), 5.0, weighting="proportional")
    assert first.tolist() == [0.25, 0.75]
    second = update_weights(first, numbers(3.0, 1.0), 2 * math.log(3), weighting="proportional")
    assert second.tolist() == pytest.approx([0.5, 0.5])  # 1/4 * 3^(3/2) : 3/4 * 3^(1/2)


@pytest.mark.parametrize("weighting", ["paper", "memoryless", "proportional"])
def test_weights_stay_finite_whatever_the_losses(weighting):
    for losses in (numbers(0.0, 0.0), numbers(1e6, 1.0), numbers(1e-320, 0.0)):
        after = update_weights(numbers(0.5, 0.5), losses, 10.0, weighting=weighting)
        assert after.isfinite().all() and after.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("beta", -0.1), ("eta", -1.0), ("tau", 0.0), ("num_negatives", 0), ("target_share", 0.0), ("target_share", 1.5)],
)
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        PrefixLossConfig(**{key: value})
