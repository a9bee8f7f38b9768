"""What training minimises: pure functions of the model's logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class LossConfig:
    """Which losses are added up, and how much each weighs."""

    item_weight: float = 1.0
    """Weight of the item-level loss on the encoder's state; 0 switches it off."""
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.item_weight < 0:
            raise ValueError(f"item_weight must be at least 0, got {self.item_weight}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")


class GeneratorLosses(NamedTuple):
    """Sums over the targets of a batch, so that parts of a batch add up to the whole."""

    total: Float[Tensor, ""]
    code_nll: Float[Tensor, " levels"]
    item_nll: Float[Tensor, ""]


def code_cross_entropy(
    logits: Float[Tensor, "targets level_size"], codes: Int[Tensor, " targets"], *, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Cross-entropy of one level, in nats, summed over the targets."""
    return cross_entropy(logits.float(), codes, reduction="sum", label_smoothing=label_smoothing)


def item_cross_entropy(logits: Float[Tensor, "targets items"], rows: Int[Tensor, " targets"]) -> Float[Tensor, ""]:
    """Cross-entropy over the whole catalogue, in nats, summed over the targets."""
    return cross_entropy(logits.float(), rows, reduction="sum")


def generator_losses(
    code_logits: Sequence[Float[Tensor, "targets _"]],
    item_logits: Float[Tensor, "targets items"] | None,
    *,
    codes: Int[Tensor, "targets levels"],
    rows: Int[Tensor, " targets"],
    config: LossConfig,
) -> GeneratorLosses:
    """Code losses summed over the levels, plus the weighted item loss."""
    nll = [
        code_cross_entropy(logits, codes[:, level], label_smoothing=config.label_smoothing)
        for level, logits in enumerate(code_logits)
    ]
    code_nll = torch.stack(nll)
    item_nll = code_nll.new_zeros(()) if item_logits is None else item_cross_entropy(item_logits, rows)
    return GeneratorLosses(code_nll.sum() + config.item_weight * item_nll, code_nll.detach(), item_nll.detach())
