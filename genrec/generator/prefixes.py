"""What losses ask the catalogue's trie about an item: its prefixes, and which codes may follow each of them."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from trie import PrefixTrie


class Prefixes:
    """Every item's place in the trie, on one device. Row r of the trie is item r.

    A t-prefix, the first t codes of an item, is the trie's node at depth t: equal prefixes have equal numbers.
    """

    def __init__(self, prefix_trie: PrefixTrie, device: str | torch.device = "cpu") -> None:
        if prefix_trie.num_rows != prefix_trie.num_row_slots:
            raise ValueError(
                f"expected a trie of all rows 0..{prefix_trie.num_row_slots - 1}, got one of {prefix_trie.num_rows} "
                "rows; build it from the semantic IDs of the whole catalogue"
            )
        self._trie = prefix_trie.to(device)
        order = self._trie.order.long()
        self._position = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))

    @property
    def num_items(self) -> int:
        """How many items the catalogue has."""
        return self._trie.trie.num_rows

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """How many codes each level may have."""
        return self._trie.trie.level_sizes

    @property
    def counts(self) -> tuple[int, ...]:
        """How many different t-prefixes the catalogue has, t = 1..id_length."""
        return self._trie.trie.num_nodes

    def of(self, rows: Int[Tensor, "*rows"]) -> Int64[Tensor, "*rows id_length"]:
        """The numbers of each item's t-prefixes, t = 1..id_length."""
        position = self._position[rows]
        return torch.stack([self._trie.node_above(t, position) for t in range(1, self._trie.trie.length + 1)], dim=-1)

    def rows_below(
        self, level: int, rows: Int[Tensor, " rows"]
    ) -> tuple[Int64[Tensor, "rows widest"], Bool[Tensor, "rows widest"]]:
        """The items that have the first `level` codes of each of these items, and which of the places hold one."""
        node = self._trie.node_above(level, self._position[rows])
        begin, end = self._trie.row_range(level, node)
        widest = int((end - begin).max()) if len(rows) else 0
        position = begin[:, None] + torch.arange(widest, device=begin.device)
        return self._trie.order[position.clamp(max=self.num_items - 1)].long(), position < end[:, None]

    def valid_children(self, level: int, rows: Int[Tensor, "*rows"]) -> Bool[Tensor, "*rows level_size"]:
        """Which codes of a level some item has after the first `level` codes of each of these items."""
        node = self._trie.node_above(level, self._position[rows.flatten()])
        begin, count = self._trie.children(level, node)
        owner = torch.repeat_interleave(count)
        offset = torch.arange(len(owner), device=owner.device) - (count.cumsum(0) - count)[owner]
        valid = torch.zeros(len(node), self.level_sizes[level], dtype=torch.bool, device=owner.device)
        valid[owner, self._trie.codes(level, begin[owner] + offset)] = True
        return valid.unflatten(0, rows.shape)

    def all_valid_children(self, rows: Int[Tensor, "*rows"]) -> Sequence[Bool[Tensor, "*rows _"]]:
        """`valid_children` of every level."""
        return [self.valid_children(level, rows) for level in range(len(self.level_sizes))]
