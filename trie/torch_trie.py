"""TorchTrie: a PrefixTrie's arrays as tensors on one device, with the look-ups that a beam step needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int, Int64
from numpy import ndarray
from torch import Tensor

from trie.prefix_trie import WIDEST_KEPT, PrefixTrie
from trie.torch_starts import TorchStarts

if TYPE_CHECKING:
    from trie.bitmap import Bitmap

SMALL_TABLE = 1 << 16


@dataclass(frozen=True, eq=False, repr=False)
class TorchTrie:
    """The torch view of a trie. A node is an int64 number among the nodes of its depth, as in `trie.build`."""

    trie: PrefixTrie
    device: torch.device
    token: tuple[Tensor, ...]
    """As TrieArrays.token; uint16 is kept as int16 of the same bits, since torch hardly indexes uint16."""
    starts: tuple[TorchStarts, ...]
    order: Tensor
    table: tuple[Tensor | None, ...]
    """Per level, `[nodes, level_size]` int32: the child that each code leads to, or -1; only where that is small."""
    first_row: tuple[Tensor | None, ...]
    """Per depth, `[nodes + 1]` int32: the first sorted position below each node; only where that is small."""
    stock: "Bitmap | None" = None
    """The rows that the catalogue still has; None: all."""
    static_shapes: bool = False
    """Whether steps on the CPU, too, have shapes that do not depend on the data, as elsewhere (`trie.listing`)."""

    @classmethod
    def from_trie(cls, trie: PrefixTrie, device: str | torch.device) -> "TorchTrie":
        """The view on a device; CPU tensors share the trie's memory, apart from the tables."""
        # where all nodes may be listed at little cost, nothing has to be searched for
        starts = tuple(
            TorchStarts.from_starts(
                each.with_all_listed() if _is_small(each.num_nodes, trie.num_rows) else each, device
            )
            for each in trie.arrays.starts
        )
        return cls(
            trie,
            torch.empty(0, device=device).device,  # with the index that "cuda" leaves open
            token=tuple(_tensor(token, device) for token in trie.arrays.token),
            starts=starts,
            order=_tensor(trie.arrays.order, device),
            table=tuple(_table(trie, level, device) for level in range(trie.length)),
            first_row=tuple(_first_rows(trie, starts[depth:], depth) for depth in range(trie.length + 1)),
        )

    @property
    def has_shared_leaves(self) -> bool:
        """Whether some leaf holds more than one row."""
        return not self.starts[-1].one_each

    def positions(self, rows: Int[ndarray, " rows"]) -> Int64[Tensor, " rows"]:
        """Sorted position of each of these rows, which the trie must have."""
        return torch.from_numpy(self.trie.arrays.position[rows].astype(np.int64)).to(self.device)

    def codes(self, level: int, node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The code that leads to each node at depth `level + 1`."""
        token = self.token[level][node].long()
        return token & 0xFFFF if self.token[level].dtype == torch.int16 else token

    def children(self, depth: int, node: Int64[Tensor, "*nodes"]) -> tuple[Tensor, Tensor]:
        """Number of each node's first child, and how many it has; at the leaves: first sorted position, and rows."""
        return self.starts[depth].span(node)

    def first(self, depth: int, node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """Sorted position of the first row below each node; the node after the last gives the number of rows."""
        table = self.first_row[depth]
        return _first(self.starts[depth:], node) if table is None else table[node].long()

    def row_range(self, depth: int, node: Int64[Tensor, "*nodes"]) -> tuple[Tensor, Tensor]:
        """Sorted position of the first row below each node, and of the first one after these."""
        if self.first_row[depth] is not None:
            return self.first(depth, node), self.first(depth, node + 1)
        begin, count = self.children(depth, node)
        return _first(self.starts[depth + 1 :], begin), _first(self.starts[depth + 1 :], begin + count)

    def node_above(self, depth: int, position: Int64[Tensor, "*rows"]) -> Int64[Tensor, "*rows"]:
        """Number of the node at `depth` that each sorted position lies below; past the leaves: the position itself."""
        if depth > self.trie.length:
            return position
        table = self.first_row[depth]
        if table is not None:
            return torch.searchsorted(table, position.int(), right=True) - 1
        for starts in reversed(self.starts[depth:]):
            position = starts.above(position)
        return position

    def with_stock(self, stock: "Bitmap | None") -> "TorchTrie":
        """The same trie as a catalogue that has only some of its rows."""
        return replace(self, stock=stock)

    def with_static_shapes(self) -> "TorchTrie":
        """The same trie, whose steps do on the CPU what they do on a GPU."""
        return replace(self, static_shapes=True)

    def advance(self, depth: int, node: Int[Tensor, "*nodes"], code: Int[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The child that `code` leads to from each node at `depth`, -1 without one; -1 stays -1."""
        table = self.table[depth]
        if table is not None:
            return torch.where((node >= 0) & (code >= 0), table[node.clamp(min=0), code.clamp(min=0)].long(), -1)
        begin, count = self.children(depth, node.clamp(min=0))
        low, high = begin, begin + count
        last = len(self.token[depth]) - 1
        for _ in range(self.trie.fanout[depth].bit_length()):  # a binary search for all nodes at once
            middle = (low + high) // 2
            right = (low < high) & (self.codes(depth, middle.clamp(max=last)) < code)
            low, high = torch.where(right, middle + 1, low), torch.where(right, high, middle)
        found = (low < begin + count) & (self.codes(depth, low.clamp(max=last)) == code) & (node >= 0)
        return torch.where(found, low, -1)

    @torch.compiler.assume_constant_result
    def width(self, depth: int, num_nodes: int) -> int:
        """The most children that so many different nodes of one depth can have together, known without their names."""
        sums = self.trie.widest[depth]
        if num_nodes <= len(sums):
            return int(sums[num_nodes - 1])
        total = self.trie.arrays.starts[depth].num_children
        return total if len(sums) < WIDEST_KEPT else min(total, int(sums[-1]) * num_nodes // len(sums) + 1)

    def __repr__(self) -> str:
        return f"TorchTrie({self.trie!r}, device={str(self.device)!r})"


def _tensor(array: ndarray, device: str | torch.device) -> Tensor:
    return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array).to(device)


def _first(starts: Sequence[TorchStarts], node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
    """Sorted position of the first row below nodes of the first of these depths, which go on to the leaves."""
    for each in starts:
        node = each.of(node)
    return node


def _is_small(entries: int, num_rows: int) -> bool:
    """Does a table take no more than half a byte for each row, or next to nothing?"""
    return entries <= max(SMALL_TABLE, num_rows // 8)


def _table(trie: PrefixTrie, level: int, device: str | torch.device) -> Tensor | None:
    """One of `table`; the first level's is always kept."""
    starts = trie.arrays.starts[level]
    if level and not _is_small(starts.num_nodes * trie.level_sizes[level], trie.num_rows):
        return None
    parent = np.repeat(np.arange(starts.num_nodes), starts.counts())
    table = np.full((starts.num_nodes, trie.level_sizes[level]), -1, dtype=np.int32)
    table[parent, trie.arrays.token[level]] = np.arange(len(parent), dtype=np.int32)
    return _tensor(table, device)


def _first_rows(trie: PrefixTrie, starts: Sequence[TorchStarts], depth: int) -> Tensor | None:
    """One of `first_row`."""
    num_nodes = trie.arrays.starts[depth].num_nodes
    if not _is_small(num_nodes, trie.num_rows):
        return None
    return _first(starts, torch.arange(num_nodes + 1, device=starts[0].begin.device)).int()
