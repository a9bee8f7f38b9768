"""Diversity by a cap: at most so many beams, and rows of a list, below each prefix of one length."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor


class Cap(NamedTuple):
    """A cap on how many share a prefix."""

    most: int
    group: Int64[Tensor, "batch beams"]
    """The number of each beam's prefix: its node at the depth that is capped."""


def capped(
    total: Float32[Tensor, "batch slots"], group: Int64[Tensor, "batch slots"], *, most: int
) -> tuple[Float32[Tensor, "batch slots"], Float32[Tensor, " batch"]]:
    """The scores, -inf beyond the `most` best of each group, and the best that was dropped so for each user.

    Equal scores keep the order of their slots.
    """
    by_score = total.argsort(dim=1, descending=True, stable=True)
    by_group = group.gather(1, by_score).argsort(dim=1, stable=True)
    order = by_score.gather(1, by_group)  # groups one after the other, each best first
    sorted_group = group.gather(1, order)
    place = torch.arange(total.shape[1], device=total.device).expand_as(order)
    is_first = torch.ones_like(order, dtype=torch.bool)
    is_first[:, 1:] = sorted_group[:, 1:] != sorted_group[:, :-1]
    rank = place - torch.where(is_first, place, 0).cummax(1).values
    dropped = torch.zeros_like(is_first).scatter(1, order, rank >= most)
    return total.masked_fill(dropped, -torch.inf), total.masked_fill(~dropped, -torch.inf).amax(1)
