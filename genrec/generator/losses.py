"""What training minimises: pure functions of the model's logits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genrec.generator.prefix_losses import PrefixLossConfig


@dataclass(frozen=True)
class LossConfig:
    """Which losses are added up, and how much each weighs."""

    item_weight: float = 1.0
    """Weight of the item-level loss on the encoder's state; 0 switches it off."""
    item_negatives: int | None = None
    """So many items by chance, and the batch's targets, stand for the catalogue in the item loss; None: all items."""
    item_label_smoothing: float = 0.0
    """Share of the item loss's target that all its items have in equal parts."""
    distillation: float = 0.7
    """Share of a code's target that the item head's own probabilities have, added up below each code; none without
    an item loss."""
    label_smoothing: float = 0.0
    """Share of a code's target that all codes of its softmax have in equal parts."""
    softmax: Literal["level", "children"] = "children"
    """A code's rivals: all codes of its level, or only those that some item has after the same codes before it (the
    masked softmax loss, MSL); `recommendation.score: catalog` decodes by the latter."""
    temperature: float = 1.0
    """Divides the code logits, in the losses only; 1 to 3 is usual with `softmax: children`."""
    levels: Literal["sum", "mean"] = "sum"
    """Whether the code losses of all levels are added up or averaged; the prefix loss keeps its weight beside them."""
    prefix: PrefixLossConfig = field(default_factory=PrefixLossConfig)

    def __post_init__(self) -> None:
        if self.item_weight < 0:
            raise ValueError(f"item_weight must be at least 0, got {self.item_weight}")
        if self.item_negatives is not None and self.item_negatives < 1:
            raise ValueError(f"item_negatives must be at least 1, or none for all items; got {self.item_negatives}")
        if not 0 <= self.distillation <= 1:
            raise ValueError(f"distillation must lie in [0, 1], got {self.distillation}")
        for name in ("label_smoothing", "item_label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def weight_of_codes(self, num_levels: int) -> float:
        """What the loss of a single level weighs in the total."""
        return 1.0 if self.levels == "sum" else 1 / num_levels

    def weight_of_prefixes(self, num_levels: int) -> float:
        """What `prefix.beta` is multiplied by in the total: it is meant beside the mean of the code losses."""
        return self.prefix.beta * num_levels * self.weight_of_codes(num_levels)


class GeneratorLosses(NamedTuple):
    """Sums over the targets of a batch, so that parts of a batch add up to the whole."""

    total: Float[Tensor, ""]
    code_nll: Float[Tensor, " levels"]
    item_nll: Float[Tensor, ""]
    log_probs: Float[Tensor, "targets levels"]
    """Of every true code given the true ones before it, with gradients; not a sum."""


def code_log_probs(
    logits: Float[Tensor, "*batch level_size"],
    valid: Bool[Tensor, "*#batch level_size"] | None = None,
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch level_size"]:
    """Natural log-probabilities of a level's codes in float32 or better; -inf where a code is not valid.

    `valid`: the codes that the softmax is taken over, None: all.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if temperature != 1:
        logits = logits / temperature
    if valid is not None:
        logits = logits.masked_fill(~valid, -torch.inf)
    return logits.log_softmax(-1)


def of_codes(log_probs: Float[Tensor, "*batch level_size"], codes: Int[Tensor, "*#batch"]) -> Float[Tensor, "*batch"]:
    """The log-probability of one code each."""
    return log_probs.gather(-1, codes.expand(log_probs.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def code_cross_entropy(
    log_probs: Float[Tensor, "targets level_size"],
    codes: Int[Tensor, " targets"],
    valid: Bool[Tensor, "targets level_size"] | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of one level, in nats, summed over the targets; smoothing is spread over the valid codes alone."""
    nll = -of_codes(log_probs, codes).sum()
    if not label_smoothing:
        return nll
    uniform = log_probs.mean(-1) if valid is None else log_probs.masked_fill(~valid, 0.0).sum(-1) / valid.sum(-1)
    return (1 - label_smoothing) * nll - label_smoothing * uniform.sum()


def distillation_cross_entropy(
    log_probs: Float[Tensor, "targets level_size"], wanted: Float[Tensor, "targets level_size"]
) -> Float[Tensor, ""]:
    """Cross-entropy of one level against a distribution over its codes, in nats, summed over the targets."""
    return -(wanted * log_probs.masked_fill(wanted == 0, 0.0)).sum()  # 0 * -inf would be NaN


def generator_losses(
    code_logits: Sequence[Float[Tensor, "targets _"]],
    item_nll: Float[Tensor, ""] | None,
    *,
    codes: Int[Tensor, "targets levels"],
    config: LossConfig,
    valid: Sequence[Bool[Tensor, "targets _"]] | None = None,
    wanted: Sequence[Float[Tensor, "targets _"]] | None = None,
) -> GeneratorLosses:
    """Code losses over all levels, plus the weighted item loss, summed over the targets before; None: there is none.

    Per level: `valid`, the codes that the softmax is taken over, None: all of the level; `wanted`, the distribution
    that is distilled, None: nothing is.
    """
    losses, log_probs = [], []
    for level, logits in enumerate(code_logits):
        mask = None if valid is None else valid[level]
        all_log_probs = code_log_probs(logits, mask, temperature=config.temperature)
        loss = code_cross_entropy(all_log_probs, codes[:, level], mask, label_smoothing=config.label_smoothing)
        if wanted is not None:
            distilled = distillation_cross_entropy(all_log_probs, wanted[level])
            loss = (1 - config.distillation) * loss + config.distillation * distilled
        losses.append(loss)
        log_probs.append(of_codes(all_log_probs, codes[:, level]))
    of_true_codes, code_loss = torch.stack(log_probs, dim=1), torch.stack(losses).sum()
    item_nll = code_loss.new_zeros(()) if item_nll is None else item_nll
    total = config.weight_of_codes(len(code_logits)) * code_loss + config.item_weight * item_nll
    return GeneratorLosses(total, -of_true_codes.detach().sum(0), item_nll.detach(), of_true_codes)
