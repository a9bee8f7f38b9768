import math

import pytest
import torch

from genrec.generator.item_sample import ItemSample, draw_items

SHARES = torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0, 0.0])


def test_the_targets_are_always_there_and_every_row_once():
    torch.manual_seed(0)
    sample = draw_items(torch.tensor([4, 1, 4]), SHARES, num_negatives=2)
    assert {1, 4} <= set(sample.rows.tolist()) and sample.rows.tolist() == sorted(set(sample.rows.tolist()))


def test_probabilities_are_those_of_many_samples():
    torch.manual_seed(0)
    times, rounds = torch.zeros(6), 4000
    for _ in range(rounds):
        times[draw_items(torch.multinomial(SHARES, 3, replacement=True), SHARES, num_negatives=2).rows] += 1
    sample = draw_items(torch.arange(3), SHARES, num_negatives=1000)
    assert sample.rows.tolist() == list(range(6))
    claimed = draw_items(torch.arange(3), SHARES, num_negatives=2)
    for row, log_inclusion in zip(claimed.rows.tolist(), claimed.log_inclusion.tolist(), strict=True):
        assert times[row] / rounds == pytest.approx(math.exp(log_inclusion), abs=0.03)


def test_a_rare_item_s_probability_does_not_underflow():
    sample = draw_items(torch.tensor([0]), torch.zeros(10_000_000), num_negatives=1)
    # missed by the one draw and by a target that it never is
    assert sample.log_inclusion[0].item() == pytest.approx(math.log(1e-7), abs=1e-3)


def test_a_catalogue_of_one_item_is_always_sampled():
    sample = draw_items(torch.tensor([0]), torch.tensor([1.0]), num_negatives=3)
    assert sample.rows.tolist() == [0] and sample.log_inclusion.tolist() == [0.0]


def test_places_are_those_in_the_sample_or_none():
    sample = ItemSample(torch.tensor([2, 5, 9]), torch.zeros(3))
    assert sample.places_of(torch.tensor([[9, 3], [2, -1]])).tolist() == [[2, -1], [0, -1]]
