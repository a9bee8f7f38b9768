"""The best slots of a step: the highest scores among those that pass, ties in the order of the slots."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

LOOK_AT = (1.25, 4.0)
"""How many of the highest slots are looked at first, and if these are too few: so many times those that are wanted."""


class Passes(NamedTuple):
    """Which slots may be taken."""

    ask: Callable[[Tensor], Tensor]
    """Of slots `[batch, some]` of each user: booleans of the same shape."""
    share: float = 1.0
    """About which share of all may be, at the least; it says how many to look at first."""


class Choice(NamedTuple):
    """What a step keeps, best first."""

    score: Float32[Tensor, "batch chosen"]
    """-inf: nothing was left to choose; its slot is in range but means nothing."""
    slot: Int64[Tensor, "batch chosen"]
    bound: Float32[Tensor, " batch"]
    """Raised to the first score that was cut off."""


def choose(
    total: Float32[Tensor, "batch slots"],
    passes: Passes | None,
    bound: Float32[Tensor, " batch"],
    *,
    most: int,
    is_eager: bool,
) -> Choice:
    """The `most` highest of the slots that pass; `is_eager`: looking at the data costs nothing (`trie.listing`)."""
    if is_eager:
        choice = best_passing(total, passes, bound, most=most)
        if choice is not None:
            return choice
    return best(masked(total, passes), bound, most=most)


def masked(total: Float32[Tensor, "batch slots"], passes: Passes | None) -> Float32[Tensor, "batch slots"]:
    """The totals, -inf in the slots that do not pass."""
    if passes is None:
        return total
    every = torch.arange(total.shape[1], device=total.device).expand_as(total)
    return torch.where(passes.ask(every), total, -torch.inf)


def best(total: Float32[Tensor, "batch slots"], bound: Float32[Tensor, " batch"], *, most: int) -> Choice:
    """The `most` highest totals of each user; no host synchronisation, so it can be compiled and captured.

    The keys hold the score's bits above the slot, so that equal scores do not fall as the batch's padding has it.
    """
    slots = total.shape[1]
    keys = _keys(total, torch.arange(slots, device=total.device), slots)
    slot = slots - 1 - (keys.topk(min(most + 1, slots), dim=1).values & 0xFFFFFFFF)
    return _cut(total.gather(1, slot), slot, bound, most)


def best_passing(
    total: Float32[Tensor, "batch slots"], passes: Passes | None, bound: Float32[Tensor, " batch"], *, most: int
) -> Choice | None:
    """The same among the slots that pass, asking only about the highest ones; None where these are not enough.

    It looks at the data, so it is for the CPU. As many columns as the fullest user needs.
    """
    if passes is None:
        if total.shape[1] <= most:
            return _cut(*total.sort(dim=1, descending=True, stable=True), bound, most)
        score, slot = total.topk(most + 1, dim=1)
        # without equal scores nothing more has to be looked at; of two dead ones the difference is nan
        if not bool((score.diff(dim=1) == 0).any()):
            return _cut(score, slot, bound, most)
    few, many = LOOK_AT
    for times in (min(few / passes.share, many) if passes else few, many):
        choice = _best_passing(total, passes, bound, most=most, looked_at=int(times * (most + 1)) + 8)
        if choice is not None:
            return choice
    return None


def _best_passing(
    total: Float32[Tensor, "batch slots"],
    passes: Passes | None,
    bound: Float32[Tensor, " batch"],
    *,
    most: int,
    looked_at: int,
) -> Choice | None:
    slots, wanted = total.shape[1], most + 1
    looked_at = min(looked_at, slots)
    score, slot = total.topk(looked_at, dim=1)
    lowest = score[:, -1:]
    order = _keys(score, slot, slots).argsort(dim=1, descending=True)
    score, slot = score.gather(1, order), slot.gather(1, order)
    passing = score > -torch.inf
    if passes is not None:
        passing &= passes.ask(slot)
    # slots as good as the lowest may have equals that were not looked at
    enough = ((passing & (score > lowest)).sum(1) >= wanted) | (lowest[:, 0] == -torch.inf)
    if looked_at < slots and not bool(enough.all()):
        return None
    number = passing.cumsum(1)
    columns = max(1, min(wanted, int(number[:, -1].max()))) if len(number) else 1
    place = torch.searchsorted(number, torch.arange(1, columns + 1).expand(len(number), -1).contiguous())
    found = place < looked_at
    place = place.clamp(max=looked_at - 1)
    score = torch.where(found, score.gather(1, place), -torch.inf)
    return _cut(score, slot.gather(1, place), bound, most)


def _keys(
    score: Float32[Tensor, "batch some"], slot: Int64[Tensor, "*batch some"], slots: int
) -> Int64[Tensor, "batch some"]:
    """Integers in the order of the scores; of equal scores the lower slot has the higher."""
    bits = score.view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # a negative float's bits rise as it falls: turn them round
    return (ordered.long() << 32) | (slots - 1 - slot)


def _cut(score: Tensor, slot: Tensor, bound: Tensor, most: int) -> Choice:
    if score.shape[1] > most:
        bound = torch.maximum(bound, score[:, most])
    return Choice(score[:, :most], slot[:, :most], bound)
