"""Losses on the prefixes of the target that a beam search must keep (APAO, 2603.02730): pure functions.

For t = 1..levels, `S_t` of an item is the sum of the log-probabilities of its first t codes, and `L_t` the loss of the
t-prefixes. The total has `beta * sum_t w_t L_t`, whose weights w follow the worst prefix from step to step.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

Weighting = Literal["paper", "memoryless", "proportional"]


@dataclass(frozen=True)
class PrefixLossConfig:
    """Whether and how the prefixes of a target count by themselves."""

    kind: Literal["none", "pointwise", "pairwise"] = "none"
    """`pointwise`: the target's prefixes are to be likely; `pairwise`: likelier than those of sampled items."""
    beta: float = 0.2
    """Weight beside the *mean* of the code losses over the levels. The authors' mean has one more term, of an end token
    that costs next to nothing: their beta at four codes is 4/5 of ours."""
    eta: float = 1e-4
    """How fast the weights of the levels follow the losses; 0: not at all."""
    weighting: Weighting = "paper"
    """How the weights follow: see `update_weights`."""
    per_code: bool = True
    """Whether `L_t` is divided by t: in the authors' code, not in the paper."""
    tau: float = 1.0
    """Temperature of the pairwise comparison."""
    num_negatives: int = 100
    """Items that a target is compared with, drawn uniformly from the catalogue for each target at each step."""
    sampling_correction: bool = True
    """Whether the negatives count for all prefixes of the catalogue (`c_t`): in the authors' code, not in the paper."""
    target_share: float = 1.0
    """Share of the targets, drawn at each step, that are compared; these stand for all. Comparing costs most of a step,
    in proportion."""

    def __post_init__(self) -> None:
        if self.beta < 0 or self.eta < 0:
            raise ValueError(f"beta and eta must be at least 0, got beta {self.beta} and eta {self.eta}")
        if self.tau <= 0:
            raise ValueError(f"tau must be above 0, got {self.tau}")
        if self.num_negatives < 1:
            raise ValueError(f"num_negatives must be at least 1, got {self.num_negatives}")
        if not 0 < self.target_share <= 1:
            raise ValueError(f"target_share must lie above 0 and up to 1, got {self.target_share}")


def pointwise_losses(log_probs: Float[Tensor, "targets levels"], *, per_code: bool = True) -> Float[Tensor, " levels"]:
    """`L_t = -S_t(target) / t` for every t, summed over the targets; without `per_code`, not divided by t."""
    return _summed(-log_probs.cumsum(1), per_code=per_code)


def pairwise_losses(
    targets: Float[Tensor, "targets levels"],
    negatives: Float[Tensor, "targets negatives levels"],
    distinct: Bool[Tensor, "targets negatives levels"],
    *,
    num_prefixes: Int[Tensor, " levels"] | None,
    tau: float = 1.0,
    per_code: bool = True,
) -> Float[Tensor, " levels"]:
    """`L_t = log(1 + c_t sum_n e^((S_t(n) - S_t(target)) / tau)) / t` over negatives n, summed over the targets.

    `targets` and `negatives` are log-probabilities of codes. Only negatives that are `distinct` at t take part (see
    `distinct_prefixes`); where none are, the loss is 0. `num_prefixes`: how many different t-prefixes the catalogue
    has; they make `c_t = (num_prefixes - 1) / (distinct negatives + 1)`, None: c_t is 1.
    """
    score = targets.cumsum(1) / tau
    rivals = (negatives.cumsum(2) / tau).masked_fill(~distinct, -torch.inf)
    if num_prefixes is not None:
        correction = (num_prefixes - 1).to(rivals.dtype) / (distinct.sum(1) + 1)
        rivals = rivals + correction.log().unsqueeze(1)
    everything = torch.cat([score.unsqueeze(1), rivals], dim=1).logsumexp(1)
    return _summed(everything - score, per_code=per_code)


def distinct_prefixes(
    targets: Int[Tensor, "targets levels"], negatives: Int[Tensor, "targets negatives levels"]
) -> Bool[Tensor, "targets negatives levels"]:
    """Which negatives have, at each t, a t-prefix that neither the target nor an earlier negative has.

    Prefixes are given as numbers, equal ones having equal numbers (`Prefixes.of`).
    """
    everything = torch.cat([targets.unsqueeze(1), negatives], dim=1)
    ordered, place = everything.sort(dim=1, stable=True)
    # stable: of equal prefixes, the one that was given first comes first
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.empty_like(is_first).scatter_(1, place, is_first)[:, 1:]


def uniform_weights(num_levels: int) -> Float64[Tensor, " levels"]:
    """The weights that every training starts with."""
    return torch.full((num_levels,), 1 / num_levels, dtype=torch.float64)


def update_weights(
    weights: Float64[Tensor, " levels"] | None,
    losses: Float64[Tensor, " levels"],
    eta: float,
    *,
    weighting: Weighting = "paper",
) -> Float64[Tensor, " levels"]:
    """The weights of the next step after one whose mean losses `L_t` were these; they sum to 1.

    `paper`: `w_t e^(eta L_t)`, normalised. `memoryless` (the authors' first code): `L_t e^(eta L_t)`, normalised.
    `proportional` (their later code): `L_t`, normalised, after the first step, then `w_t e^(eta L_t / sum L)`.
    `weights`: those of the step that gave the losses; None: it was the first, with uniform ones.
    """
    if weighting == "memoryless":
        start, rate = losses, eta
    elif weighting == "proportional":
        if weights is None:
            return _normalised(losses)
        start, rate = weights, eta / max(float(losses.sum()), torch.finfo(torch.float64).tiny)
    else:
        start, rate = uniform_weights(len(losses)) if weights is None else weights, eta
    # the largest exponent becomes 0, so that none overflows
    return _normalised(start * (rate * (losses - losses.max())).exp())


def _normalised(weights: Float64[Tensor, " levels"]) -> Float64[Tensor, " levels"]:
    """The weights in proportion, uniform if all are 0."""
    total = weights.sum()
    return weights / total if total > 0 else uniform_weights(len(weights))


def _summed(losses: Float[Tensor, "targets levels"], *, per_code: bool) -> Float[Tensor, " levels"]:
    by_level = losses.sum(0)
    return by_level / torch.arange(1, len(by_level) + 1, device=by_level.device) if per_code else by_level
