"""AdamW with decay on matrices only, and the learning rate of every step."""

import math
from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its cosine schedule."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 200
    final_share: float = 0.0
    """The learning rate of the last step, as a share of the highest."""
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.weight_decay < 0 or self.warmup_steps < 0 or not 0 <= self.final_share <= 1:
            raise ValueError("weight_decay and warmup_steps must be at least 0, final_share between 0 and 1")


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW over the model; biases and norms do not decay."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=config.learning_rate, fused=True)


def learning_rate(step: int, *, num_steps: int, config: OptimizerConfig) -> float:
    """Learning rate of a step (from 0): linear warm-up, then a cosine down to `final_share`.

    A function of the step alone, so that a resumed training needs no scheduler's state.
    """
    warmup = min(config.warmup_steps, num_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(num_steps - warmup, 1)
    share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.learning_rate * (config.final_share + (1 - config.final_share) * share)
