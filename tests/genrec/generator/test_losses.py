import math

import pytest
import torch

from genrec.errors import ConfigError
from genrec.generator.losses import (
    LossConfig,
    code_cross_entropy,
    code_log_probs,
    generator_losses,
)
from genrec.generator.prefix_losses import PrefixLossConfig
from genrec.strict_loading import load_dataclass


def plain_cross_entropy(logits, codes, valid, *, label_smoothing, temperature):
    """One target after the other, one code after the other, by the definition."""
    total = 0.0
    for row, code in enumerate(codes.tolist()):
        rivals = [c for c in range(logits.shape[1]) if valid is None or valid[row, c]]
        scale = sum(math.exp(float(logits[row, c]) / temperature) for c in rivals)
        for c in rivals:
            share = (1 - label_smoothing) * (c == code) + label_smoothing / len(rivals)
            total -= share * math.log(math.exp(float(logits[row, c]) / temperature) / scale)
    return total


def masked_case(seed=0):
    torch.manual_seed(seed)
    codes = torch.randint(0, 6, (5,))
    valid = torch.rand(5, 6) < 0.5
    valid[torch.arange(5), codes] = True
    valid[0] = torch.arange(6) == codes[0]  # an only child
    return torch.randn(5, 6, dtype=torch.float64), codes, valid


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


def test_losses_of_parts_add_up_to_the_loss_of_the_whole():
    torch.manual_seed(0)
    logits, codes = torch.randn(6, 5), torch.randint(0, 5, (6, 1))
    whole, first, second = (
        generator_losses((logits[part],), None, codes=codes[part], config=LossConfig()).total
        for part in (slice(0, 6), slice(0, 2), slice(2, 6))
    )
    assert whole.item() == pytest.approx((first + second).item())


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("masked", [False, True])
def test_cross_entropy_equals_a_double_loop(label_smoothing, temperature, masked):
    logits, codes, valid = masked_case()
    valid = valid if masked else None
    log_probs = code_log_probs(logits, valid, temperature=temperature)
    found = code_cross_entropy(log_probs, codes, valid, label_smoothing=label_smoothing)
    expected = plain_cross_entropy(logits, codes, valid, label_smoothing=label_smoothing, temperature=temperature)
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_an_only_child_costs_nothing():
    logits, codes, valid = masked_case()
    log_probs = code_log_probs(logits[:1], valid[:1])
    assert code_cross_entropy(log_probs, codes[:1], valid[:1], label_smoothing=0.3).item() == 0


def test_gradients_of_the_masked_loss_equal_finite_differences():
    logits, codes, valid = masked_case()

    def loss(logits):
        return code_cross_entropy(code_log_probs(logits, valid, temperature=2.0), codes, valid, label_smoothing=0.1)

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))
    loss(logits).backward()
    assert logits.grad[~valid].abs().max() == 0


def test_half_precision_logits_are_judged_in_float32():
    logits = torch.zeros(1, 3, dtype=torch.bfloat16)
    assert code_log_probs(logits).tolist() == [pytest.approx([-math.log(3)] * 3, abs=1e-7)]


def test_averaged_levels_weigh_a_code_loss_by_their_number():
    arguments = {"codes": torch.tensor([[0, 1]])}
    logits = (torch.zeros(1, 4), torch.zeros(1, 8))
    mean = generator_losses(logits, None, **arguments, config=LossConfig(levels="mean"))
    assert mean.total.item() == pytest.approx((math.log(4) + math.log(8)) / 2)
    assert mean.code_nll.tolist() == pytest.approx([math.log(4), math.log(8)])


@pytest.mark.parametrize("levels", ["sum", "mean"])
def test_beta_weighs_the_prefixes_beside_the_mean_of_the_code_losses(levels):
    config = LossConfig(levels=levels, prefix=PrefixLossConfig(beta=0.3))
    assert config.weight_of_prefixes(4) / (4 * config.weight_of_codes(4)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("key", "value"), [("temperature", 0.0), ("item_weight", -1.0), ("distillation", 1.1), ("label_smoothing", 1.0)]
)
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        LossConfig(**{key: value})


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ({"kind": "pairwse"}, r"prefix\.kind is 'pairwse'.*did you mean 'pairwise'"),
        ({"num_negative": 5}, r"prefix\.num_negative is unknown.*did you mean 'num_negatives'"),
        ({"tau": 0}, r"prefix\.tau must be above 0, got 0"),
    ],
)
def test_a_config_that_asks_for_a_wrong_prefix_loss_is_refused_with_its_place(prefix, message):
    with pytest.raises(ConfigError, match=message):
        load_dataclass(LossConfig, {"prefix": prefix}, source="config")
