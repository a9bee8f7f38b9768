"""A part of the catalogue that stands for the whole in the item loss, where the whole is too large to be scored.

The items of the batch's own targets and as many more by chance. An item that is in the sample with probability q gets
-log q on its logit, so that on average the sample's sum of exponentials is that of the whole catalogue (logQ; Bengio &
Senecal 2008, Yi et al. 2019). A target is always in its own sample, so that its own logit stays as it is.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor


class ItemSample(NamedTuple):
    """Which items stand for all."""

    rows: Int64[Tensor, " sampled"]
    """Ascending, each once."""
    log_inclusion: Float[Tensor, " sampled"]
    """Natural logarithm of each one's probability to be here, for another batch of as many targets."""

    def places_of(self, rows: Int[Tensor, "*rows"]) -> Int64[Tensor, "*rows"]:
        """Where these rows stand in the sample; -1 where they do not."""
        place = torch.searchsorted(self.rows, rows.contiguous()).clamp(max=len(self.rows) - 1)
        return torch.where(self.rows[place] == rows, place, -1)


def draw_items(
    targets: Int[Tensor, " targets"],
    target_shares: Float[Tensor, " items"],
    *,
    num_negatives: int,
    chance: torch.Generator = torch.default_generator,
) -> ItemSample:
    """The targets and `num_negatives` uniform draws with replacement, by a generator on the CPU.

    `target_shares`: of all targets of the training, the share that each item is.
    """
    num_items = len(target_shares)
    draws = torch.randint(num_items, (num_negatives,), generator=chance).to(targets.device)
    rows = torch.cat([targets, draws]).unique()
    log_missed = num_negatives * math.log1p(-1 / num_items) if num_items > 1 else -math.inf
    log_missed = log_missed + len(targets) * torch.log1p(-target_shares[rows].double())
    return ItemSample(rows, torch.log(-torch.expm1(log_missed)).to(target_shares.dtype))
