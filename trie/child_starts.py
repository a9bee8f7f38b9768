"""ChildStarts: where the children of each node of one depth begin, in no more memory than the branching needs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer
from numpy import ndarray


class ChildStarts(NamedTuple):
    """Where each node's children begin among the nodes of the next depth; a leaf's rows, among the sorted rows.

    Every node has a child, and the children of one node stand after those of the node before it. So where most nodes
    of a depth have one child, it is enough to list the others: the child of a node that is not listed comes right
    before those of the next node.
    """

    begin: Int32[ndarray, " listed"]
    """The first child of each listed node; the last entry is the number of children in all."""
    listed: Int32[ndarray, " listed"] | None
    """The listed nodes, ascending: the first, all with several children, and one past the last. None: every node is."""

    @classmethod
    def of_all(cls, begin: Integer[ndarray, " nodes_plus_1"]) -> "ChildStarts":
        """From the first child of every node and the number of children, in the form that takes less memory."""
        begin = begin.astype(np.int32)
        is_listed = np.ones(len(begin), dtype=bool)
        is_listed[1:-1] = np.diff(begin[1:]) > 1
        if 2 * np.count_nonzero(is_listed) >= len(begin):
            return cls(begin, None)
        return cls(begin[is_listed], np.flatnonzero(is_listed).astype(np.int32))

    @property
    def num_nodes(self) -> int:
        """How many nodes have children here."""
        return len(self.begin) - 1 if self.listed is None else int(self.listed[-1])

    @property
    def num_children(self) -> int:
        """How many children they have in all."""
        return int(self.begin[-1])

    @property
    def most(self) -> int:
        """The most children that a node has."""
        return int(self._listed_counts().max())

    def of(self, node: int) -> int:
        """The first child of a node; of the node past the last: the number of children."""
        if self.listed is None:
            return int(self.begin[node])
        place = np.searchsorted(self.listed, np.int32(node))  # a Python int would have the whole array widened first
        return int(self.begin[place]) - (int(self.listed[place]) - node)

    def counts(self) -> Int32[ndarray, " nodes"]:
        """The number of children of every node."""
        if self.listed is None:
            return self._listed_counts()
        counts = np.ones(self.num_nodes, dtype=np.int32)
        counts[self.listed[:-1]] = self._listed_counts()
        return counts

    def with_all_listed(self) -> "ChildStarts":
        """The same with an entry for every node."""
        if self.listed is None:
            return self
        begin = np.zeros(self.num_nodes + 1, dtype=np.int32)
        np.cumsum(self.counts(), out=begin[1:])
        return ChildStarts(begin, None)

    def _listed_counts(self) -> Int32[ndarray, " _"]:
        """The number of children of every listed node: those up to the next one, less one for each node between."""
        between = 0 if self.listed is None else np.diff(self.listed) - 1
        return np.diff(self.begin) - between
