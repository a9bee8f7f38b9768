import math

import pytest
import torch

from genrec.generator.losses import LossConfig, generator_losses


def test_uniform_logits_cost_the_log_of_the_level_sizes():
    logits = (torch.zeros(2, 4), torch.zeros(2, 8))
    losses = generator_losses(logits, None, codes=torch.tensor([[0, 1], [3, 7]]), config=LossConfig())
    assert losses.total.item() == pytest.approx(2 * (math.log(4) + math.log(8)))
    assert losses.code_nll.tolist() == pytest.approx([2 * math.log(4), 2 * math.log(8)])


def test_the_item_loss_counts_by_its_weight():
    losses = generator_losses(
        (torch.zeros(1, 4),), torch.tensor(3.0), codes=torch.tensor([[0]]), config=LossConfig(item_weight=0.5)
    )
    assert losses.total.item() == pytest.approx(math.log(4) + 0.5 * 3.0)


def test_distillation_takes_its_share_of_the_target_and_the_log_stays_that_of_the_true_code():
    logits, codes = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0]])
    wanted = (torch.tensor([[0.0, 0.5, 0.5]]),)
    losses = generator_losses((logits,), None, codes=codes, config=LossConfig(distillation=0.25), wanted=wanted)
    assert losses.total.item() == pytest.approx(0.75 * math.log(2) + 0.25 * math.log(4))
    assert losses.code_nll.item() == pytest.approx(math.log(2))


def test_distillation_asks_nothing_of_codes_that_no_item_has():
    valid, wanted = (torch.tensor([[True, True, False]]),), (torch.tensor([[0.5, 0.5, 0.0]]),)
    logits, config = torch.zeros(1, 3, requires_grad=True), LossConfig(softmax="children", distillation=1.0)
    losses = generator_losses((logits,), None, codes=torch.tensor([[0]]), config=config, valid=valid, wanted=wanted)
    losses.total.backward()
    assert losses.total.item() == pytest.approx(math.log(2)) and logits.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_distillation_without_an_item_loss_is_refused():
    with pytest.raises(ValueError, match="item_weight above 0"):
        LossConfig(item_weight=0.0, distillation=0.5)


def test_losses_of_parts_add_up_to_the_loss_of_the_whole():
    torch.manual_seed(0)
    logits, codes = torch.randn(6, 5), torch.randint(0, 5, (6, 1))
    whole, first, second = (
        generator_losses((logits[part],), None, codes=codes[part], config=LossConfig()).total
        for part in (slice(0, 6), slice(0, 2), slice(2, 6))
    )
    assert whole.item() == pytest.approx((first + second).item())
