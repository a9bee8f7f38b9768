"""TorchTrie: a PrefixTrie's arrays as tensors on one device, with the look-ups that a beam step needs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int, Int32, Int64
from numpy import ndarray
from torch import Tensor

from trie.prefix_trie import PrefixTrie

if TYPE_CHECKING:
    from trie.bitmap import Bitmap

WIDEST_KEPT = 4096
SMALL_TABLE = 1 << 16


@dataclass(frozen=True, eq=False, repr=False)
class TorchTrie:
    """The torch view of a trie. A node is an int64 number among the nodes of its depth, as in `trie.build`."""

    trie: PrefixTrie
    device: torch.device
    token: tuple[Tensor, ...]
    """As TrieArrays.token; uint16 is kept as int16 of the same bits, since torch hardly indexes uint16."""
    child: tuple[Tensor, ...]
    order: Tensor
    shared: Tensor | None
    extra: Tensor | None
    widest: tuple[tuple[int, ...], ...]
    """Per depth 0..length: the children (of leaves: rows) that the 1, 2, 3, ... widest nodes have together."""
    table: tuple[Tensor | None, ...]
    """Per level, `[nodes, level_size]` int32: the child that each code leads to, or -1; only where that is small."""
    stock: "Bitmap | None" = None
    """The rows that the catalogue still has; None: all."""

    @classmethod
    def from_trie(cls, trie: PrefixTrie, device: str | torch.device) -> "TorchTrie":
        """The view on a device; CPU tensors share the trie's memory."""
        arrays = trie.arrays

        def tensor(array: ndarray) -> Tensor:
            return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array).to(device)

        leaf_rows = np.ones(trie.num_nodes[-1], dtype=np.int64)
        if arrays.shared is not None and arrays.extra is not None:
            leaf_rows[arrays.shared] += np.diff(arrays.extra)
        return cls(
            trie,
            torch.empty(0, device=device).device,  # with the index that "cuda" leaves open
            token=tuple(tensor(token) for token in arrays.token),
            child=tuple(tensor(child) for child in arrays.child),
            order=tensor(arrays.order),
            shared=None if arrays.shared is None else tensor(arrays.shared),
            extra=None if arrays.extra is None else tensor(arrays.extra),
            table=tuple(
                tensor(_table(trie, level)) if _is_small(trie, level) else None for level in range(trie.length)
            ),
            widest=(*(_widest(np.diff(child)) for child in arrays.child), _widest(leaf_rows)),
        )

    def codes(self, level: int, node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The code that leads to each node at depth `level + 1`."""
        token = self.token[level][node].long()
        return token & 0xFFFF if self.token[level].dtype == torch.int16 else token

    def children(self, depth: int, node: Int64[Tensor, "*nodes"]) -> tuple[Tensor, Tensor]:
        """Number of each node's first child, and how many it has; at the leaves: first sorted position, and rows."""
        if depth == self.trie.length:
            begin, end = self.first(depth, node), self.first(depth, node + 1)
        else:
            begin, end = self.child[depth][node].long(), self.child[depth][node + 1].long()
        return begin, end - begin

    def first(self, depth: int, node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """Sorted position of the first row below each node; the node after the last gives the number of rows."""
        for child in self.child[depth:]:
            node = child[node].long()
        if self.shared is None or self.extra is None:
            return node
        return node + self.extra[torch.searchsorted(self.shared, node.int())]

    def node_above(self, depth: int, position: Int64[Tensor, "*rows"]) -> Int64[Tensor, "*rows"]:
        """Number of the node at `depth` that each sorted position lies below; past the leaves: the position itself."""
        if depth > self.trie.length:
            return position
        node = position
        if self.shared is not None and self.extra is not None:
            place = torch.searchsorted(
                self.shared + self.extra[:-1], position.int(), right=True
            )  # shared leaves up to it
            before = self.shared[(place - 1).clamp(min=0)].where(place > 0, 0)
            node = torch.maximum(before, position - self.extra[place])
        for child in reversed(self.child[depth:]):
            node = torch.searchsorted(child, node.int(), right=True) - 1
        return node

    def with_stock(self, stock: "Bitmap | None") -> "TorchTrie":
        """The same trie as a catalogue that has only some of its rows."""
        return replace(self, stock=stock)

    def advance(self, depth: int, node: Int[Tensor, "*nodes"], code: Int[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The child that `code` leads to from each node at `depth`, -1 without one; -1 stays -1."""
        table = self.table[depth]
        if table is not None:
            return torch.where((node >= 0) & (code >= 0), table[node.clamp(min=0), code.clamp(min=0)].long(), -1)
        begin, count = self.children(depth, node.clamp(min=0))
        low, high = begin, begin + count
        last = self.trie.num_nodes[depth] - 1
        for _ in range(self.trie.fanout[depth].bit_length()):  # a binary search for all nodes at once
            middle = (low + high) // 2
            right = (low < high) & (self.codes(depth, middle.clamp(max=last)) < code)
            low, high = torch.where(right, middle + 1, low), torch.where(right, high, middle)
        found = (low < begin + count) & (self.codes(depth, low.clamp(max=last)) == code) & (node >= 0)
        return torch.where(found, low, -1)

    def width(self, depth: int, num_nodes: int) -> int:
        """The most children that so many different nodes of one depth can have together, known without their names."""
        sums = self.widest[depth]
        if num_nodes <= len(sums):
            return sums[num_nodes - 1]
        total = self.trie.num_nodes[depth] if depth < self.trie.length else self.trie.num_rows
        return total if len(sums) < WIDEST_KEPT else min(total, sums[-1] * num_nodes // len(sums) + 1)

    def __repr__(self) -> str:
        return f"TorchTrie({self.trie!r}, device={str(self.device)!r})"


def _is_small(trie: PrefixTrie, level: int) -> bool:
    """A first level always is; later ones as long as the table takes no more than half a byte for each row."""
    nodes = 1 if level == 0 else trie.num_nodes[level - 1]
    return nodes * trie.level_sizes[level] <= max(SMALL_TABLE, trie.num_rows // 8)


def _table(trie: PrefixTrie, level: int) -> Int32[ndarray, "nodes level_size"]:
    begin = trie.arrays.child[level]
    parent = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
    table = np.full((len(begin) - 1, trie.level_sizes[level]), -1, dtype=np.int32)
    table[parent, trie.arrays.token[level]] = np.arange(len(parent), dtype=np.int32)
    return table


def _widest(counts: Int[ndarray, " nodes"]) -> tuple[int, ...]:
    kept = min(WIDEST_KEPT, len(counts))
    return tuple(np.cumsum(np.sort(np.partition(counts, len(counts) - kept)[-kept:])[::-1], dtype=np.int64).tolist())
