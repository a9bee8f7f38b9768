from dataclasses import replace

import pytest

from genrec.training.loop_config import LoopConfig, TrainingConfig, as_it_matters


@pytest.mark.parametrize("change", [{"checkpoint_every_steps": 7}, {"log_every_steps": 3}, {"tracker": "tensorboard"}])
@pytest.mark.parametrize("config", [LoopConfig(), TrainingConfig(content_start=0.2)])
def test_what_changes_no_weight_does_not_matter(config, change):
    assert as_it_matters(replace(config, **change)) == as_it_matters(config)


@pytest.mark.parametrize("change", [{"batch_size": 7}, {"epochs": 3}, {"gradient_accumulation": 2}])
def test_what_changes_weights_matters_with_limits_or_without(change):
    for without_limits in (False, True):
        plain, other = (
            as_it_matters(config, without_limits=without_limits)
            for config in (LoopConfig(), replace(LoopConfig(), **change))
        )
        assert plain != other


def test_a_time_limit_matters_to_what_is_done_but_not_to_what_goes_on():
    limited = replace(LoopConfig(), max_cpu_hours=3.0)
    assert as_it_matters(limited) != as_it_matters(LoopConfig())
    assert as_it_matters(limited, without_limits=True) == as_it_matters(LoopConfig(), without_limits=True)
