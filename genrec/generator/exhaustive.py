"""Scores without a beam: every node of a trie, or every node above some rows, level by level.

The oracle of the beam search for small catalogues, and how given items are scored. A model is known by the two methods
of `CodeModel`; all users share the nodes, which are taken in blocks, so that memory is bounded.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from genrec.generator.beam_search import CodeModel, PrefixCap
from trie import Filter, Leaves, TorchTrie
from trie.choose import best
from trie.diversity import capped
from trie.scores import Score

LOGITS_AT_ONCE = 1 << 23
"""Logits that a block of nodes may have over all users: 32 MB."""


class Level(NamedTuple):
    """The nodes at one depth that are scored, ascending."""

    node: Int64[Tensor, " nodes"]
    code: Int64[Tensor, " nodes"]
    parent: Int64[Tensor, " nodes"]
    """Place of each one's parent among the nodes that are scored one level above."""
    begin: Int64[Tensor, " parents_plus_1"]
    """Where the children of each of those start, and the number of nodes."""


@dataclass(frozen=True, eq=False)
class Walk:
    """Who is asked (a model that has read its histories) and about which nodes of which trie."""

    model: CodeModel
    read: Any
    batch_size: int
    trie: TorchTrie
    levels: tuple[Level, ...]
    score: Score

    @property
    def nodes_at_once(self) -> int:
        """Nodes of a block."""
        return max(1, LOGITS_AT_ONCE // (self.batch_size * max(self.trie.trie.level_sizes)))


@torch.inference_mode()
def score_catalogue(
    model: CodeModel, trie: TorchTrie, read: Any, *, batch_size: int, score: Score = "joint"
) -> Float32[Tensor, "batch row_slots"]:
    """Natural log-probability of every row for every user, as a beam search that prunes nothing would report it.

    -inf for rows that are not in the trie's stock, and for row numbers that no row has. `read` is what
    `model.read_history` returned for `batch_size` histories; `score`: see `trie.step`.
    """
    positions = torch.arange(trie.trie.num_rows, device=trie.device)
    scores = torch.full((batch_size, trie.trie.num_row_slots), -torch.inf, device=trie.device)
    scores[:, trie.order.long()] = score_positions(
        model, trie, read, positions=positions, batch_size=batch_size, score=score
    )
    return scores


@torch.inference_mode()
def best_of_catalogue(
    model: CodeModel,
    trie: TorchTrie,
    read: Any,
    *,
    batch_size: int,
    beam_size: int,
    filters: Filter | None = None,
    score: Score = "joint",
    cap: PrefixCap | None = None,
) -> Leaves:
    """What `beam_search` returns, found by scoring everything: nothing above the `bound` is missing.

    But what `cap` leaves out raises no bound: its prefix has `most` better items.
    """
    position = torch.arange(trie.trie.num_rows, device=trie.device)
    scores = score_positions(model, trie, read, positions=position, batch_size=batch_size, score=score)
    if filters is not None:
        everyone = position.expand(batch_size, -1)
        scores = scores.masked_fill(~filters.alive(everyone, everyone + 1), -torch.inf)
    if cap is not None:
        prefix = trie.node_above(cap.depth, position).expand(batch_size, -1)
        scores, _ = capped(scores, prefix, most=cap.most)
    bound = torch.full((batch_size,), -torch.inf, device=trie.device)
    choice = best(scores, bound, most=beam_size)
    row = torch.where(choice.score > -torch.inf, trie.order[choice.slot].long(), -1)
    return Leaves(row, choice.score, torch.zeros_like(choice.slot), choice.bound)


@torch.inference_mode()
def score_positions(
    model: CodeModel,
    trie: TorchTrie,
    read: Any,
    *,
    positions: Int64[Tensor, " rows"],
    batch_size: int,
    score: Score = "joint",
) -> Float32[Tensor, "batch rows"]:
    """Natural log-probability of the rows at these sorted positions; only the nodes above them are asked about.

    The rows of a leaf share its probability, each having the same part; -inf for a row that is not in stock.
    """
    leaf, place = trie.node_above(trie.trie.length, positions).unique(return_inverse=True)
    walk = Walk(model, read, batch_size, trie, levels_above(trie, leaf), score)
    logits, written = model.next_code_logits(read, None)
    start = torch.zeros(batch_size, 1, device=trie.device)
    scores = _below(walk, 0, (0, 1), start, logits, written)[:, place]
    scores = scores - num_sharers(trie, leaf)[place].float().log()
    return scores if trie.stock is None else scores.masked_fill(~trie.stock.holds(positions), -torch.inf)


def levels_above(trie: TorchTrie, leaf: Int64[Tensor, " leaves"]) -> tuple[Level, ...]:
    """The nodes on the way to these leaves (ascending, each once), from the first level to the last."""
    position = trie.first(trie.trie.length, leaf)
    above = torch.zeros(1, dtype=torch.int64, device=trie.device)
    levels = []
    for depth in range(1, trie.trie.length + 1):
        node = trie.node_above(depth, position).unique()
        parent = torch.searchsorted(above, trie.node_above(depth - 1, trie.first(depth, node)))
        begin = torch.searchsorted(parent, torch.arange(len(above) + 1, device=trie.device))
        levels.append(Level(node, trie.codes(depth - 1, node), parent, begin))
        above = node
    return tuple(levels)


def num_sharers(trie: TorchTrie, leaf: Int64[Tensor, " leaves"]) -> Int64[Tensor, " leaves"]:
    """How many rows of the catalogue each leaf has; 1 for one that has none left."""
    begin, count = trie.children(trie.trie.length, leaf)
    return (count if trie.stock is None else trie.stock.count(begin, begin + count)).clamp(min=1)


def code_log_probs(
    trie: TorchTrie,
    level: int,
    node: Int64[Tensor, " nodes"],
    logits: Float[Tensor, "batch nodes level_size"],
    *,
    parent: Int64[Tensor, " codes"],
    code: Int64[Tensor, " codes"],
    score: Score,
) -> Float32[Tensor, "batch codes"]:
    """Natural log-probability of each `code` of a level after `node[parent]`; 0 after an ID that has ended.

    With "catalog" these must be children in stock.
    """
    logits = logits.float()
    normaliser = logits.logsumexp(-1) if score == "joint" else _catalogue_sum(trie, level, node, logits)
    log_probs = logits[:, parent, code] - normaliser[:, parent]
    if level > 1 and trie.trie.has_stop:  # the last code of a level after the first ends an ID: nothing more is written
        ended = trie.codes(level - 1, node) == trie.trie.level_sizes[level - 1] - 1
        log_probs = log_probs.masked_fill(ended[parent], 0.0)
    return log_probs


def children_in_stock(
    trie: TorchTrie, level: int, node: Int64[Tensor, " nodes"]
) -> tuple[Int64[Tensor, " children"], Int64[Tensor, " children"]]:
    """The children of all nodes below which the catalogue has something: the place of each one's node, and its code."""
    begin, count = trie.children(level, node)
    parent = torch.repeat_interleave(torch.arange(len(node), device=trie.device), count)
    child = torch.arange(len(parent), device=trie.device) + (begin - count.cumsum(0) + count)[parent]
    if trie.stock is not None:
        kept = trie.stock.alive(trie.first(level + 1, child), trie.first(level + 1, child + 1))
        parent, child = parent[kept], child[kept]
    return parent, trie.codes(level, child)


def _catalogue_sum(
    trie: TorchTrie, level: int, node: Int64[Tensor, " nodes"], logits: Float32[Tensor, "batch nodes level_size"]
) -> Float32[Tensor, "batch nodes"]:
    """The logsumexp over the children in stock; 0 of a node without one."""
    parent, code = children_in_stock(trie, level, node)
    by_code, owner = logits[:, parent, code], parent.expand(len(logits), -1)
    peak = torch.full_like(logits[..., 0], -torch.inf).scatter_reduce(1, owner, by_code, "amax")
    peak = torch.where(peak == -torch.inf, 0.0, peak)
    total = torch.zeros_like(peak).scatter_add(1, owner, (by_code - peak.gather(1, owner)).exp())
    return torch.where(total > 0, total.log() + peak, 0.0)


def _below(
    walk: Walk,
    level: int,
    block: tuple[int, int],
    scores: Float32[Tensor, "batch block"],
    logits: Float[Tensor, "batch block level_size"],
    written: Any,
) -> Float32[Tensor, "batch leaves"]:
    """Scores of the leaves below a block of nodes, given by their places at this depth, which have these scores."""
    here = walk.levels[level]
    first, last = (int(here.begin[place]) for place in block)
    parent, code = here.parent[first:last] - block[0], here.code[first:last]
    nodes = walk.levels[level - 1].node[block[0] : block[1]] if level else here.node.new_zeros(1)
    added = code_log_probs(walk.trie, level, nodes, logits, parent=parent, code=code, score=walk.score)
    scores = scores[:, parent] + added
    if level == len(walk.levels) - 1:
        return scores
    below = []
    for start in range(0, last - first, walk.nodes_at_once):
        part = slice(start, min(start + walk.nodes_at_once, last - first))
        logits, grown = walk.model.next_code_logits(
            walk.read,
            written,
            codes=code[part].expand(walk.batch_size, -1),
            parents=parent[part].expand(walk.batch_size, -1),
        )
        children = (first + part.start, first + part.stop)
        below.append(_below(walk, level + 1, children, scores[:, part], logits, grown))
    return torch.cat(below, dim=1)
