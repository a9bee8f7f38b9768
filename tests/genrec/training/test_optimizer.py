import pytest
from torch import nn

from genrec.training.optimizer import OptimizerConfig, learning_rate, make_optimizer

CONFIG = OptimizerConfig(learning_rate=0.1, warmup_steps=10, final_share=0.2)


def test_the_rate_climbs_linearly_then_falls_as_a_cosine():
    assert learning_rate(0, num_steps=110, config=CONFIG) == pytest.approx(0.01)
    assert learning_rate(9, num_steps=110, config=CONFIG) == pytest.approx(0.1)
    assert learning_rate(60, num_steps=110, config=CONFIG) == pytest.approx(0.1 * (0.2 + 0.8 * 0.5))
    assert learning_rate(110, num_steps=110, config=CONFIG) == pytest.approx(0.02)


def test_biases_and_norms_do_not_decay():
    groups = make_optimizer(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), CONFIG).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.05), (3, 0.0)]


@pytest.mark.parametrize(("key", "value"), [("learning_rate", 0.0), ("weight_decay", -1.0), ("final_share", 2.0)])
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        OptimizerConfig(**{key: value})
