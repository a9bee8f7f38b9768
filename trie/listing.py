"""What a step may choose from: the children of a user's live beams, one after the other in one row of slots.

Beam by beam, each beam's in the order of their codes. Only the number of slots depends on the data: on the CPU it is
what the fullest user needs; elsewhere, and when compiling, the most that so many beams can need, so that shapes are
static and nothing waits for the device.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from trie.choose import Passes
from trie.filters import Filter
from trie.row_sets import AllowRows
from trie.torch_trie import TorchTrie

ASK_ALL = 512
"""With lists, and no more slots than that, a step asks about each: cheaper than about the highest, then about more."""


class Listing(NamedTuple):
    """Children in slots."""

    child: Int64[Tensor, "batch slots"]
    """Number of the node at the next depth, of the leaves' children: sorted position; in range in unused slots too."""
    beam: Int64[Tensor, "batch slots"]
    """Whose child it is; in range in unused slots too."""
    used: Bool[Tensor, "batch slots"]


class Ranges(NamedTuple):
    """Where the children of each beam begin, how many there are, and where those of the beams up to it end."""

    begin: Int64[Tensor, "batch beams"]
    num_children: Int64[Tensor, "batch beams"]
    """0 for a dead beam."""
    end: Int64[Tensor, "batch beams"]


def child_ranges(
    trie: TorchTrie, depth: int, node: Int64[Tensor, "batch beams"], score: Float32[Tensor, "batch beams"]
) -> Ranges:
    """The children of every live beam; of leaves: their rows."""
    begin, count = trie.children(depth, node)
    count = count.masked_fill(score == -torch.inf, 0)
    return Ranges(begin, count, count.cumsum(1))


def is_eager(trie: TorchTrie) -> bool:
    """Whether looking at the data costs nothing: on the CPU, unless compiling, or the trie is to act as on a GPU."""
    return trie.device.type == "cpu" and not trie.static_shapes and not torch.compiler.is_compiling()


def list_children(trie: TorchTrie, depth: int, ranges: Ranges) -> Listing:
    """Every child in a slot."""
    child, beam, used = _slots(trie, depth, ranges)
    return Listing(child.clamp(max=_last(trie, depth)), beam, used)


def list_allowed(
    trie: TorchTrie, depth: int, node: Int64[Tensor, "batch beams"], ranges: Ranges, lists: AllowRows
) -> tuple[Listing, Bool[Tensor, "batch slots"]]:
    """The same, but of a beam with no more listed rows than children only the children that hold one of these.

    So a short allow list is walked once, however many children the beams have. And which slots were found so. For the
    CPU.
    """
    first, after = lists.places(*trie.row_range(depth, node))
    walked = lists.listed(node) & (after - first <= ranges.num_children)
    count = torch.where(walked, after - first, ranges.num_children)
    child, beam, used = _slots(trie, depth, Ranges(torch.where(walked, first, ranges.begin), count, count.cumsum(1)))
    by_list = used & walked.gather(1, beam)
    child[by_list] = trie.node_above(depth + 1, lists.positions(child[by_list]))
    # neighbours in a list may lie below one child: the first of them stands for it
    used[:, 1:] &= (child[:, 1:] != child[:, :-1]) | (beam[:, 1:] != beam[:, :-1])
    return Listing(child.clamp(max=_last(trie, depth)), beam, used), by_list & used


def children_to_ask(
    trie: TorchTrie, depth: int, node: Int64[Tensor, "batch beams"], ranges: Ranges, filters: Filter | None
) -> tuple[Listing, Passes | None]:
    """All children, or where short lists name the allowed ones and looking at them costs nothing, these alone.

    And which slots pass; None: all that are used.
    """
    if filters is None or filters.lists is None or not is_eager(trie):
        listing = list_children(trie, depth, ranges)
        return listing, alive_slots(trie, depth + 1, listing, filters)
    listing, by_list = list_allowed(trie, depth, node, ranges, filters.lists)
    if torch.equal(by_list, listing.used):
        return listing, None
    if listing.child.shape[1] <= ASK_ALL:
        return listing._replace(used=listing.used & alive(trie, depth + 1, listing.child, filters)), None
    return listing, alive_slots(trie, depth + 1, listing, filters)


def alive(trie: TorchTrie, depth: int, node: Int64[Tensor, "*nodes"], filters: Filter) -> Bool[Tensor, "*nodes"]:
    """Is anything allowed below each node? Past the leaves a node is one sorted position."""
    if depth > trie.trie.length:
        return filters.alive(node, node + 1)
    return filters.alive(*trie.row_range(depth, node))


def alive_slots(trie: TorchTrie, depth: int, listing: Listing, filters: Filter | None) -> Passes | None:
    """Which slots of a listing pass; None: all."""
    if filters is None:
        return None
    ask = lambda slot: alive(trie, depth, listing.child.gather(1, slot), filters)  # noqa: E731
    return Passes(ask, alive_share(trie, depth, filters))


def alive_share(trie: TorchTrie, depth: int, filters: Filter | None) -> float:
    """About which share of the nodes has something allowed below, at the least, if rows were allowed at random.

    1 where looking at the data costs something: there nobody asks.
    """
    if filters is None or not is_eager(trie):
        return 1.0
    nodes = trie.trie.num_nodes[depth - 1] if depth <= trie.trie.length else trie.trie.num_rows
    size = max(1.0, trie.trie.num_rows / nodes / 2)  # most nodes are smaller than the mean
    return 1 - (1 - filters.share) ** size


def _slots(trie: TorchTrie, depth: int, ranges: Ranges) -> tuple[Tensor, Tensor, Tensor]:
    """What each slot counts to from its beam's begin on, its beam, and whether it is used."""
    begin, count, end = ranges
    batch, beams = begin.shape
    last = beams - 1
    if is_eager(trie):
        width = max([1, *end[:, -1].tolist()])
        repeats = torch.cat([count, width - end[:, -1:]], dim=1).flatten()
        beam = torch.repeat_interleave(repeats, output_size=batch * width).view(batch, width)
        beam -= torch.arange(0, batch * (beams + 1), beams + 1)[:, None]
        slot = torch.arange(width)
    else:
        slot = torch.arange(trie.width(depth, beams), device=trie.device)
        beam = torch.searchsorted(end, slot.expand(batch, -1).contiguous(), right=True)
    used = beam <= last
    beam = beam.clamp(max=last)
    return slot + (begin + count - end).gather(1, beam), beam, used


def _last(trie: TorchTrie, depth: int) -> int:
    return len(trie.token[depth] if depth < trie.trie.length else trie.order) - 1
