"""TorchStarts: ChildStarts as tensors on one device, with the look-ups of many nodes at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from trie.child_starts import ChildStarts


@dataclass(frozen=True, eq=False)
class TorchStarts:
    """Where the children of the nodes of one depth begin; `begin` and `listed` as in ChildStarts."""

    begin: Tensor
    listed: Tensor | None
    one_each: bool
    """Whether every node has one child, which then has the node's number."""

    @classmethod
    def from_starts(cls, starts: ChildStarts, device: str | torch.device) -> "TorchStarts":
        """The tensors on a device; on the CPU they share the memory."""
        listed = None if starts.listed is None else torch.from_numpy(starts.listed).to(device)
        return cls(torch.from_numpy(starts.begin).to(device), listed, starts.num_nodes == starts.num_children)

    def of(self, node: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The first child of each node; of the node past the last: the number of children."""
        if self.one_each:
            return node
        if self.listed is None:
            return self.begin[node].long()
        place = torch.searchsorted(self.listed, node.int())
        return self.begin[place] - (self.listed[place] - node)

    def span(self, node: Int64[Tensor, "*nodes"]) -> tuple[Tensor, Tensor]:
        """The first child of each node, and how many it has."""
        if self.one_each:
            return node, torch.ones_like(node)
        if self.listed is None:
            begin = self.begin[node].long()
            return begin, self.begin[node + 1] - begin
        place = torch.searchsorted(self.listed, node.int())
        following = place + (self.listed[place] == node)  # the place of the next node, without a second search
        begin = self.begin[place] - (self.listed[place] - node)
        return begin, self.begin[following] - (self.listed[following] - node - 1) - begin

    def above(self, child: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """The node that each child belongs to."""
        if self.one_each:
            return child
        place = torch.searchsorted(self.begin, child.int(), right=True)
        if self.listed is None:
            return place - 1
        # of the listed node before it, or of one with a single child between that and the next listed one
        return torch.maximum(self.listed[place - 1], self.listed[place] - (self.begin[place] - child))
