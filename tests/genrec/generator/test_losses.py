import math

import pytest
import torch

from genrec.generator.losses import LossConfig, generator_losses, item_cross_entropy


def test_uniform_logits_cost_the_log_of_the_level_sizes():
    logits = (torch.zeros(2, 4), torch.zeros(2, 8))
    losses = generator_losses(
        logits, None, codes=torch.tensor([[0, 1], [3, 7]]), rows=torch.tensor([0, 1]), config=LossConfig()
    )
    assert losses.total.item() == pytest.approx(2 * (math.log(4) + math.log(8)))
    assert losses.code_nll.tolist() == pytest.approx([2 * math.log(4), 2 * math.log(8)])


def test_the_item_loss_counts_by_its_weight():
    item_logits = torch.zeros(1, 16)
    losses = generator_losses(
        (torch.zeros(1, 4),),
        item_logits,
        codes=torch.tensor([[0]]),
        rows=torch.tensor([3]),
        config=LossConfig(item_weight=0.5),
    )
    assert losses.total.item() == pytest.approx(math.log(4) + 0.5 * math.log(16))
    assert item_cross_entropy(item_logits, torch.tensor([3])).item() == pytest.approx(math.log(16))


def test_losses_of_parts_add_up_to_the_loss_of_the_whole():
    torch.manual_seed(0)
    logits, codes = torch.randn(6, 5), torch.randint(0, 5, (6, 1))
    rows = torch.arange(6)
    whole, first, second = (
        generator_losses((logits[part],), None, codes=codes[part], rows=rows[part], config=LossConfig()).total
        for part in (slice(0, 6), slice(0, 2), slice(2, 6))
    )
    assert whole.item() == pytest.approx((first + second).item())
