"""One constrained beam step on logits, for a whole batch, without a loop over users or beams.

A step lists the children of a user's live beams one after the other (beam by beam, each beam's in the order of their
codes), scores them, and keeps the best. Only the number of slots depends on the data: on the CPU it is what the
fullest user needs; elsewhere, and when compiling, it is the most that so many beams can need, so shapes are static
and nothing waits for the device.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from trie.torch_trie import TorchTrie

Alive = Callable[[Tensor, Tensor], Tensor]
"""A filter's `alive(lo, hi)`: does the range [lo, hi) of sorted positions hold an allowed row? `[batch, ...]` each."""


class Beams(NamedTuple):
    """Partial IDs, best first. Node, parent and code of a dead beam are in range but mean nothing."""

    node: Int64[Tensor, "batch beams"]
    """Number of the node among those of its depth."""
    score: Float32[Tensor, "batch beams"]
    """Natural log-probability of the codes so far; -inf: a dead beam."""
    parent: Int64[Tensor, "batch beams"]
    """Which beam it was before this step."""
    code: Int64[Tensor, "batch beams"]
    """The code that this step added."""
    bound: Float32[Tensor, " batch"]
    """The best score of any prefix that was pruned so far: no row that is missing can score higher."""


class Leaves(NamedTuple):
    """Rows, best first."""

    row: Int64[Tensor, "batch beams"]
    """-1 where there was no further allowed row."""
    score: Float32[Tensor, "batch beams"]
    """Natural log-probability; -inf where there is no row."""
    parent: Int64[Tensor, "batch beams"]
    """The beam that ended in the row's leaf."""
    bound: Float32[Tensor, " batch"]
    """As in Beams, with the rows that were cut off here."""


def start(trie: TorchTrie, batch_size: int) -> Beams:
    """One beam per user: the root, with score 0."""
    zeros = torch.zeros(batch_size, 1, dtype=torch.int64, device=trie.device)
    return Beams(zeros, zeros.float(), zeros, zeros, torch.full((batch_size,), -torch.inf, device=trie.device))


def step(
    trie: TorchTrie,
    level: int,
    beams: Beams,
    logits: Float[Tensor, "batch beams level_size"],
    *,
    beam_size: int,
    alive: Alive | None = None,
    score: Literal["joint", "catalog"] = "joint",
) -> Beams:
    """The `beam_size` best children of all beams; fewer where there are no more, dead beams only as padding.

    `logits`: the model's, for the codes of this level after each beam; those of dead beams are not read. `score`:
    "joint" normalises over every code of the level, as `transformers.generate` does; "catalog" over the children that
    are in the trie, whatever `alive` says, so that the probabilities of all leaves sum to 1. `alive` leaves out the
    children below which nothing is allowed. Equal scores keep the order of their slots.
    """
    _check(trie, level, beams, logits, beam_size)
    kid, beam, listed = _spread(trie, level, beams)
    kid = kid.clamp(max=trie.trie.num_nodes[level] - 1)
    code = trie.codes(level, kid)
    flat = beam * trie.trie.level_sizes[level] + code
    logits = logits.float()
    offered = logits if score == "joint" else _only(logits, flat, listed)
    normaliser = offered.logsumexp(-1)
    # A beam whose logits are all -inf has no child; without the guard it would be nan.
    base = beams.score - torch.where(normaliser == -torch.inf, 0.0, normaliser)
    if alive is not None:
        listed = listed & alive(trie.first(level + 1, kid), trie.first(level + 1, kid + 1))
    total = torch.where(listed, base.gather(1, beam) + logits.flatten(1).gather(1, flat), -torch.inf)
    best, slot, bound = _best(total, beams.bound, beam_size)
    return Beams(kid.gather(1, slot), best, beam.gather(1, slot), code.gather(1, slot), bound)


def items(trie: TorchTrie, beams: Beams, *, beam_size: int, alive: Alive | None = None) -> Leaves:
    """The `beam_size` best rows of beams that have taken every level.

    The rows of one leaf share its probability: each has the leaf's score minus log(how many rows the leaf has,
    whatever `alive` says). Equal scores keep the beams' order, then the rows'.
    """
    _check_beam_size(beam_size)
    if trie.shared is None:  # one row a leaf, and `alive` was asked in the last step
        row = torch.where(beams.score > -torch.inf, trie.order[beams.node].long(), -1)
        parent = torch.arange(row.shape[1], device=row.device).expand_as(row)
        if row.shape[1] <= beam_size:
            return Leaves(row, beams.score, parent, beams.bound)
        best, slot, bound = _best(beams.score, beams.bound, beam_size)
        return Leaves(row.gather(1, slot), best, slot, bound)
    position, beam, listed = _spread(trie, trie.trie.length, beams)
    position = position.clamp(max=trie.trie.num_rows - 1)
    if alive is not None:
        listed = listed & alive(position, position + 1)
    _, sharers = trie.children(trie.trie.length, beams.node)
    total = torch.where(listed, (beams.score - sharers.float().log()).gather(1, beam), -torch.inf)
    best, slot, bound = _best(total, beams.bound, beam_size)
    row = torch.where(best > -torch.inf, trie.order[position.gather(1, slot)].long(), -1)
    return Leaves(row, best, beam.gather(1, slot), bound)


def certified(leaves: Leaves) -> Int64[Tensor, " batch"]:
    """How many rows at the head of each list are proven to be the exact top, in the exact order.

    No log-probability is above 0, so no missing row scores higher than the best pruned prefix. The proof is up to
    float32 rounding and ties.
    """
    return ((leaves.score >= leaves.bound[:, None]) & (leaves.row >= 0)).sum(1)


def _spread(trie: TorchTrie, depth: int, beams: Beams) -> tuple[Tensor, Tensor, Tensor]:
    """The children of every live beam in `[batch, slots]`: their numbers, their beams, and which slots are in use.

    At the leaves the children are sorted positions. A number in an unused slot may be past the end.
    """
    begin, count = trie.children(depth, beams.node)
    count = torch.where(beams.score > -torch.inf, count, 0)
    end = count.cumsum(1)
    if trie.device.type == "cpu" and not torch.compiler.is_compiling():
        width = max(1, int(end[:, -1].max())) if len(end) else 1
    else:
        width = trie.width(depth, beams.node.shape[1])
    slot = torch.arange(width, device=trie.device).expand(len(end), width).contiguous()
    beam = torch.searchsorted(end, slot, right=True).clamp(max=end.shape[1] - 1)
    child = slot + (begin + count - end).gather(1, beam)
    return child, beam, slot < end[:, -1:]


def _only(
    logits: Float32[Tensor, "batch beams level_size"], flat: Int64[Tensor, "batch slots"], listed: Bool[Tensor, "..."]
) -> Float32[Tensor, "batch beams level_size"]:
    """The logits of the listed children, -inf elsewhere; `flat` counts through beams and codes."""
    spare = logits[0].numel()  # unused slots write behind the end
    offered = torch.zeros(len(logits), spare + 1, dtype=torch.bool, device=logits.device)
    offered.scatter_(1, torch.where(listed, flat, spare), True)
    return torch.where(offered[:, :-1].view_as(logits), logits, -torch.inf)


def _best(
    total: Float32[Tensor, "batch slots"], bound: Float32[Tensor, " batch"], beam_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best scores, their slots, and the bound raised to the first score that was cut off.

    The keys hold the score's bits above the slot, so that equal scores do not fall as the batch's padding has it.
    """
    slots = total.shape[1]
    bits = total.view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # a negative float's bits rise as it falls: turn them round
    keys = (ordered.long() << 32) | torch.arange(slots - 1, -1, -1, device=total.device)
    slot = slots - 1 - (keys.topk(min(beam_size + 1, slots), dim=1).values & 0xFFFFFFFF)
    best = total.gather(1, slot)
    if slots > beam_size:
        bound = torch.maximum(bound, best[:, beam_size])
    return best[:, :beam_size], slot[:, :beam_size], bound


def _check(trie: TorchTrie, level: int, beams: Beams, logits: Tensor, beam_size: int) -> None:
    _check_beam_size(beam_size)
    expected = (*beams.node.shape, trie.trie.level_sizes[level])
    if tuple(logits.shape) != expected:
        raise ValueError(
            f"logits at level {level} must be [batch, beams, level_size] = {expected}; got {tuple(logits.shape)}"
        )


def _check_beam_size(beam_size: int) -> None:
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1, got {beam_size}")
