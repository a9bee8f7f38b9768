"""One constrained beam step on logits, for a whole batch, without a loop over users or beams.

A step scores the children of a user's live beams and keeps the best that pass the filters. On the CPU it asks only
about the highest scores whether they pass, and where nearly every code is a child, also whether they are children.
"""

from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from trie.choose import Choice, Passes, best, best_passing, choose, masked
from trie.diversity import Cap, capped
from trie.filters import Filter
from trie.listing import Listing, Ranges, alive, alive_share, child_ranges, children_to_ask, is_eager
from trie.scores import Score, normalised
from trie.torch_trie import TorchTrie

DENSE_SHARE = 0.5
"""With more of all codes than that being children, a step on the CPU scores all codes, and looks who is a child."""


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
    filters: Filter | None = None,
    score: Score | Literal["given"] = "joint",
    cap: Cap | None = None,
) -> Beams:
    """The `beam_size` best children of all beams; fewer where there are no more, dead beams only as padding.

    `logits`: the model's, for the codes of this level after each beam; those of dead beams are not read. `score`:
    "joint" normalises over every code of the level; "catalog" over the children that are in the catalogue (the trie,
    less what its `stock` leaves out), whatever `filters` say, so that the probabilities of all leaves sum to 1;
    "given" adds the logits up as they are: log-probabilities that were normalised elsewhere. `filters` leave out the
    children below which nothing is allowed; by default the trie's stock, which filters of one's own must hold
    (`trie.filters.with_stock`). `cap`: see `trie.diversity`. Equal scores keep the order of their slots.
    """
    _check(trie, level, beams, logits, beam_size)
    filters = trie.stock if filters is None else filters
    ranges = child_ranges(trie, level, beams.node, beams.score)
    logits, normaliser = normalised(trie, level, beams.node, beams.code, logits=logits, ranges=ranges, score=score)
    base = beams.score - normaliser
    if cap is None and is_eager(trie) and _is_dense(ranges, logits, filters):
        chosen = _among_all_codes(trie, level, beams, base, logits, filters, beam_size)
        if chosen is not None:
            return chosen
    return _among_children(trie, level, beams, base, logits, ranges, filters, beam_size, cap)


def items(
    trie: TorchTrie, beams: Beams, *, beam_size: int, filters: Filter | None = None, cap: Cap | None = None
) -> Leaves:
    """The `beam_size` best rows of beams that have taken every level.

    The rows of one leaf share its probability: each has the leaf's score minus log(how many rows of the catalogue the
    leaf has, whatever `filters` say). Equal scores keep the beams' order, then the rows'.
    """
    _check_beam_size(beam_size)
    filters = trie.stock if filters is None else filters
    if not trie.has_shared_leaves:  # one row a leaf, and the filters were asked in the last step
        beam = torch.arange(beams.node.shape[1], device=trie.device).expand_as(beams.node)
        if cap is None and beams.node.shape[1] <= beam_size:
            row = torch.where(beams.score > -torch.inf, trie.order[beams.node].long(), -1)
            return Leaves(row, beams.score, beam, beams.bound)
        listing, total, passes = Listing(beams.node, beam, beams.score > -torch.inf), beams.score, None
    else:
        ranges = child_ranges(trie, trie.trie.length, beams.node, beams.score)
        listing, passes = children_to_ask(trie, trie.trie.length, beams.node, ranges, filters)
        sharers = (
            ranges.num_children
            if trie.stock is None
            else trie.stock.count(ranges.begin, ranges.begin + ranges.num_children)
        )
        shares = beams.score - sharers.clamp(min=1).float().log()
        total = torch.where(listing.used, shares.gather(1, listing.beam), -torch.inf)

    groups = None if cap is None else Cap(cap.most, cap.group.gather(1, listing.beam))
    choice = _choose(trie, total, passes, beams.bound, beam_size, groups, is_end=True)
    row = trie.order[listing.child.gather(1, choice.slot)].long()
    row = torch.where(choice.score > -torch.inf, row, -1)
    return Leaves(row, choice.score, listing.beam.gather(1, choice.slot), choice.bound)


def certified(leaves: Leaves) -> Int64[Tensor, " batch"]:
    """How many rows at the head of each list are proven to be the exact top, in the exact order.

    No log-probability is above 0, so no missing row scores higher than the best pruned prefix. The proof is up to
    float32 rounding and ties.
    """
    return ((leaves.score >= leaves.bound[:, None]) & (leaves.row >= 0)).sum(1)


def _among_all_codes(
    trie: TorchTrie,
    level: int,
    beams: Beams,
    base: Float32[Tensor, "batch beams"],
    logits: Float32[Tensor, "batch beams level_size"],
    filters: Filter | None,
    beam_size: int,
) -> Beams | None:
    """The best children, looked for among the highest of all codes; None where too few of these are children."""
    total = base[..., None] + logits
    live = beams.score > -torch.inf
    if not bool(live.all()):
        total = torch.where(live[..., None], total, -torch.inf)
    passes = Passes(partial(_are_children, trie, level, beams.node, filters), alive_share(trie, level + 1, filters))
    choice = best_passing(total.flatten(1), passes, beams.bound, most=beam_size)
    if choice is None:
        return None
    parent, code = choice.slot // logits.shape[2], choice.slot % logits.shape[2]
    node = trie.advance(level, beams.node.gather(1, parent), code).clamp(min=0)
    return Beams(node, choice.score, parent, code, choice.bound)


def _are_children(
    trie: TorchTrie, level: int, node: Int64[Tensor, "batch beams"], filters: Filter | None, slot: Tensor
) -> Bool[Tensor, "batch some"]:
    """Which slots (beam * level_size + code) are children with something allowed below."""
    size = trie.trie.level_sizes[level]
    kid = trie.advance(level, node.gather(1, slot // size), slot % size)
    return (kid >= 0) if filters is None else (kid >= 0) & alive(trie, level + 1, kid.clamp(min=0), filters)


def _among_children(
    trie: TorchTrie,
    level: int,
    beams: Beams,
    base: Float32[Tensor, "batch beams"],
    logits: Float32[Tensor, "batch beams level_size"],
    ranges: Ranges,
    filters: Filter | None,
    beam_size: int,
    cap: Cap | None,
) -> Beams:
    """The best children, looked for among all children."""
    listing, passes = children_to_ask(trie, level, beams.node, ranges, filters)
    code = trie.codes(level, listing.child)
    by_code = logits.flatten(1).gather(1, torch.add(code, listing.beam, alpha=logits.shape[2]))
    total = (base.gather(1, listing.beam) + by_code).masked_fill_(~listing.used, -torch.inf)

    groups = None if cap is None else Cap(cap.most, cap.group.gather(1, listing.beam))
    is_end = level == trie.trie.length - 1 and not trie.has_shared_leaves
    choice = _choose(trie, total, passes, beams.bound, beam_size, groups, is_end=is_end)
    slot = choice.slot
    return Beams(
        listing.child.gather(1, slot), choice.score, listing.beam.gather(1, slot), code.gather(1, slot), choice.bound
    )


def _choose(
    trie: TorchTrie,
    total: Float32[Tensor, "batch slots"],
    passes: Passes | None,
    bound: Float32[Tensor, " batch"],
    beam_size: int,
    cap: Cap | None,
    *,
    is_end: bool,
) -> Choice:
    """The best slots that pass. `is_end`: what a cap drops here could not stand in the list, so it raises no bound."""
    if cap is None:
        return choose(total, passes, bound, most=beam_size, is_eager=is_eager(trie))
    total, dropped = capped(masked(total, passes), cap.group, most=cap.most)
    return best(total, bound if is_end else torch.maximum(bound, dropped), most=beam_size)


def _is_dense(ranges: Ranges, logits: Float32[Tensor, "batch beams level_size"], filters: Filter | None) -> bool:
    """Are most codes children? With short lists the children are few, whatever the trie holds."""
    lists = filters is not None and filters.lists is not None
    is_spread = logits.shape[1] > 1 and not lists
    return is_spread and int(ranges.end[:, -1].sum()) > DENSE_SHARE * logits.numel()


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
