import pytest
import torch

from genrec.generator.repeats import RepeatBias


@pytest.fixture
def bias():
    repeat_bias = RepeatBias(max_items=4)
    with torch.no_grad():
        repeat_bias.every_age.fill_(-1.0)
        repeat_bias.by_age.copy_(torch.tensor([0.5, 0.25, 0.0, 2.0]))
    return repeat_bias


def test_untrained_it_changes_nothing():
    logits = torch.randn(2, 5)
    found = RepeatBias(4)(logits.clone(), torch.tensor([[0, 1], [2, -1]]), torch.tensor([1, 0]))
    assert torch.equal(found, logits)


@torch.no_grad()
def test_items_gain_by_their_age_and_several_times_the_sum(bias):
    history = torch.tensor([[3, 1, 3, 0], [2, 4, -1, -1], [0, 1, 2, 3]])
    found = bias(torch.zeros(3, 5), history, torch.tensor([2, 1, 0]))
    # ages count from the newest place: 30 * (-1 + .5) = -15 for age 0, -22.5 for 1, -30 for 2
    assert found.tolist() == [
        [0.0, -22.5, 0.0, -15.0 - 30.0, 0.0],
        [0.0, 0.0, -22.5, 0.0, -15.0],
        [-15.0, 0.0, 0.0, 0.0, 0.0],
    ]


@torch.no_grad()
def test_rows_beyond_the_logits_have_none(bias):
    assert bias(torch.zeros(1, 3), torch.tensor([[7, 2]]), torch.tensor([1])).tolist() == [[0.0, 0.0, -15.0]]


def test_each_target_teaches_the_ages_that_it_read(bias):
    history = torch.tensor([[3, 1, 2]])
    bias(torch.zeros(1, 5), history, torch.tensor([1]))[0, 3].backward()
    assert bias.every_age.grad.tolist() == [30.0] and bias.by_age.grad.tolist() == [0.0, 30.0, 0.0, 0.0]


def test_where_nobody_repeats_it_learns_that_within_few_steps():
    repeat_bias, rows = RepeatBias(8), torch.arange(6)
    optimizer = torch.optim.AdamW(repeat_bias.parameters(), lr=2e-3)
    history = torch.stack([torch.roll(rows, shift)[:5] for shift in range(6)])
    targets = torch.stack([torch.roll(rows, shift)[5] for shift in range(6)])
    for _ in range(100):
        optimizer.zero_grad()
        logits = repeat_bias(torch.zeros(6, 6), history, torch.full((6,), 4))
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()
    assert logits.softmax(-1).gather(1, targets[:, None]).min() > 0.95
