"""TrieReport: how a trie branches, and what its arrays take; as a table for a terminal, and for JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trie.child_starts import ChildStarts
from trie.files import named_arrays
from trie.prefix_trie import PrefixTrie


@dataclass(frozen=True)
class Branching:
    """How many children the nodes of one depth have; of leaves: rows."""

    num_nodes: int
    num_children: int
    mean: float
    most: int
    share_of_one: float
    """Nodes with one child, over all nodes."""
    histogram: tuple[int, ...]
    """Nodes with 1, 2, 3-4, 5-8, ... children; the last entry is not 0."""

    @classmethod
    def of(cls, starts: ChildStarts) -> "Branching":
        """Of the nodes whose children start there."""
        num_with = np.bincount(starts.counts())[1:]  # 1, 2, 3, ... children
        bucket = np.frexp(np.arange(len(num_with)))[1]  # the bit length of one child less: 0, 1, 2, 2, 3, ...
        histogram = np.bincount(bucket, weights=num_with).astype(np.int64)
        return cls(
            starts.num_nodes,
            starts.num_children,
            mean=starts.num_children / starts.num_nodes,
            most=starts.most,
            share_of_one=int(histogram[0]) / starts.num_nodes,
            histogram=tuple(histogram.tolist()),
        )


@dataclass(frozen=True)
class TrieReport:
    """The figures of a trie."""

    num_rows: int
    levels: tuple[Branching, ...]
    """Of the nodes that each level starts from: the root, the first codes, ..."""
    leaves: Branching
    """Rows per leaf."""
    bytes_by_array: Mapping[str, int]
    """Of each array that the trie keeps, by the name it is saved under."""

    @classmethod
    def of(cls, trie: PrefixTrie) -> "TrieReport":
        """Of this trie; reads all of it."""
        *levels, leaves = [Branching.of(starts) for starts in trie.arrays.starts]
        sizes = {name: array.nbytes for name, array in named_arrays(trie.arrays).items()}
        return cls(trie.num_rows, tuple(levels), leaves, sizes)

    @property
    def bytes_per_item(self) -> float:
        """Bytes of all arrays over the rows."""
        return sum(self.bytes_by_array.values()) / self.num_rows

    @property
    def shared_leaves(self) -> int:
        """Leaves that hold more than one row."""
        return self.leaves.num_nodes - self.leaves.histogram[0]

    def as_dict(self) -> dict[str, Any]:
        """Every figure in plain types."""
        return asdict(self) | {"shared_leaves": self.shared_leaves, "bytes_per_item": self.bytes_per_item}

    def table(self) -> str:
        """A line for each level and one for the rows of the leaves, then the bytes an item of each kind of array.

        `nodes` are those that a level starts from, `mean` and `most` their children, `one` is the share with one child,
        and the columns after it count the nodes by their children.
        """
        branchings = [*self.levels, self.leaves]
        buckets = max(len(one.histogram) for one in branchings)
        header = ("level", "nodes", "mean", "most", "one", *_bucket_names(buckets))
        names = [*map(str, range(len(self.levels))), "rows"]
        lines = [header, *(_line(name, one, buckets) for name, one in zip(names, branchings, strict=True))]
        return "\n".join([*_aligned(lines), self._bytes_line()])

    def _bytes_line(self) -> str:
        kinds: Counter[str] = Counter()
        for name, size in self.bytes_by_array.items():
            kinds[name.rstrip("0123456789")] += size
        parts = " + ".join(f"{kind} {size / self.num_rows:.2f}" for kind, size in kinds.items())
        return f"bytes an item: {parts} = {self.bytes_per_item:.2f}"


def _bucket_names(buckets: int) -> list[str]:
    """1, 2, 3-4, 5-8, ..."""
    return ["1", "2", *(f"{(1 << power - 1) + 1}-{1 << power}" for power in range(2, buckets))][:buckets]


def _line(name: str, one: Branching, buckets: int) -> tuple[str, ...]:
    histogram = (*one.histogram, *[0] * (buckets - len(one.histogram)))
    figures = (one.num_nodes, f"{one.mean:.2f}", one.most, f"{100 * one.share_of_one:.1f} %")
    return (name, *map(str, figures), *map(str, histogram))


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned to the right, two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
