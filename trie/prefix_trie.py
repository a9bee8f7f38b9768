"""PrefixTrie: a catalogue's semantic IDs as a trie in flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
from jaxtyping import Int32, Int64, Integer
from numpy import ndarray

from trie.build import TrieArrays, build_arrays, checked_level_sizes, checked_rows
from trie.files import Header, named_arrays, read_trie, write_trie
from trie.stop_codes import Sequences, with_stop_codes

if TYPE_CHECKING:
    import torch

    from trie.report import TrieReport
    from trie.torch_trie import TorchTrie

WIDEST_KEPT = 4096
Prefix = Sequence[SupportsIndex] | Integer[ndarray, " codes"]


@dataclass(frozen=True, eq=False, repr=False)
class PrefixTrie:
    """Which code may follow which prefix, and which rows lie below it.

    Build one with `from_codes`, or with `from_sequences` where IDs differ in length. Equal rows are allowed: they share
    a leaf.
    """

    arrays: TrieArrays
    level_sizes: tuple[int, ...]
    fanout: tuple[int, ...]
    """The most children that a node has, per level."""
    has_stop: bool = False
    """Whether the last code of each level after the first ends an ID: see `from_sequences`."""

    @classmethod
    def from_codes(
        cls,
        codes: Integer[ndarray, "rows length"],
        *,
        level_sizes: Sequence[SupportsIndex] | None = None,
        rows: Integer[ndarray, " rows"] | None = None,
    ) -> "PrefixTrie":
        """The trie of these rows. `level_sizes`: how many codes each level may have; default: the largest code + 1.

        `rows`: the rows' numbers, ascending, where they are not 0, 1, 2, ... (a catalogue that lost some rows).

        ValueError where there are no rows, or a code is negative or not below its level's size.
        """
        return cls._of(codes, checked_level_sizes(codes, level_sizes), rows, has_stop=False)

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequences,
        *,
        level_sizes: Sequence[SupportsIndex] | None = None,
        rows: Integer[ndarray, " rows"] | None = None,
    ) -> "PrefixTrie":
        """The trie of IDs of different lengths, also where one ID is the beginning of another.

        `level_sizes` (default: as in `from_codes`) are the codes' alone. Every level but the first gets one code more,
        its last: the stop, which ends an ID and then fills it up to the last level. With sizes (4, 4, 4) the trie has
        `level_sizes` (4, 5, 5), which is what a model needs logits for, and the ID (1, 2) stands as (1, 2, 4). So
        `rows((1, 2))` has it and every longer ID that begins so, `rows((1, 2, 4))` it alone, and `children` names the
        stop like any code. A beam step takes what follows a stop at no cost.

        IDs that all have one length get stops as well (`has_stop` is True): none may stop early, but a model's logits
        keep their number when shorter IDs come. ValueError as in `from_codes`, and where a sequence is empty or has
        more codes than there are levels.
        """
        codes, sizes = with_stop_codes(sequences, level_sizes)
        return cls._of(codes, sizes, rows, has_stop=True)

    @classmethod
    def _of(
        cls,
        codes: Integer[ndarray, "rows length"],
        level_sizes: tuple[int, ...],
        rows: Integer[ndarray, " rows"] | None,
        *,
        has_stop: bool,
    ) -> "PrefixTrie":
        arrays = build_arrays(codes, level_sizes, None if rows is None else checked_rows(rows, len(codes)))
        return cls(arrays, level_sizes, tuple(starts.most for starts in arrays.starts[:-1]), has_stop)

    @property
    def length(self) -> int:
        """Number of levels."""
        return len(self.level_sizes)

    @property
    def num_rows(self) -> int:
        """Number of rows, those with equal codes counted one by one."""
        return len(self.arrays.order)

    @property
    def num_row_slots(self) -> int:
        """The highest row number + 1; more than `num_rows` where numbers are left out."""
        return len(self.arrays.position)

    @property
    def num_nodes(self) -> tuple[int, ...]:
        """Number of different prefixes of each length 1..length; the last is the number of leaves."""
        return tuple(len(token) for token in self.arrays.token)

    @cached_property
    def widest(self) -> tuple[Int64[ndarray, " kept"], ...]:
        """Per depth 0..length: the children (of leaves: rows) that the 1, 2, 3, ... widest nodes have together."""
        return tuple(_widest(starts.counts()) for starts in self.arrays.starts)

    @property
    def nbytes(self) -> int:
        """Bytes of every array that the trie keeps, the filters' position table included."""
        return sum(array.nbytes for array in named_arrays(self.arrays).values())

    def report(self) -> "TrieReport":
        """How the trie branches and what its arrays take."""
        from trie.report import TrieReport

        return TrieReport.of(self)

    def rows(self, prefix: Prefix = ()) -> Int32[ndarray, " rows"]:
        """The rows below a prefix, in sorted order of their codes; empty where no row begins so."""
        node = self._node(prefix)
        if node is None:
            return np.empty(0, dtype=np.int32)
        return self.arrays.order[self.first(len(prefix), node) : self.first(len(prefix), node + 1)]

    def children(self, prefix: Prefix = ()) -> Integer[ndarray, " codes"]:
        """The codes that may follow a prefix, ascending; empty after a full one and where no row begins so."""
        node = self._node(prefix)
        if node is None or len(prefix) == self.length:
            return np.empty(0, dtype=np.uint8)
        starts = self.arrays.starts[len(prefix)]
        return self.arrays.token[len(prefix)][starts.of(node) : starts.of(node + 1)]

    def advance(self, depth: int, node: int, code: int) -> int | None:
        """The child that `code` leads to from a node at `depth`, as its number at the next depth; None without one."""
        if not 0 <= code < self.level_sizes[depth]:
            raise ValueError(f"code {code} at level {depth} is outside 0..{self.level_sizes[depth] - 1}")
        begin, end = self.arrays.starts[depth].of(node), self.arrays.starts[depth].of(node + 1)
        tokens = self.arrays.token[depth][begin:end]
        offset = int(np.searchsorted(tokens, code))
        return begin + offset if offset < len(tokens) and tokens[offset] == code else None

    def first(self, depth: int, node: int) -> int:
        """Sorted position of the first row below a node; the node after the last gives the number of rows."""
        for starts in self.arrays.starts[depth:]:
            node = starts.of(node)
        return node

    def to(self, device: "str | torch.device") -> "TorchTrie":
        """The torch view that `trie.step` and the filters use; on the CPU it shares this trie's memory."""
        from trie.torch_trie import TorchTrie

        return TorchTrie.from_trie(self, device)

    def save(self, folder: str | Path) -> None:
        """Write raw arrays, a JSON header and a manifest of SHA-256 sums; replaces an older trie there as a whole."""
        write_trie(Path(folder), self.arrays, Header(self.level_sizes, self.fanout, self.has_stop))

    @classmethod
    def load(cls, folder: str | Path, *, mmap: bool = True, verify: bool = True) -> "PrefixTrie":
        """The trie that `save` wrote; TrieFileError (a ValueError) names the file that is missing or damaged.

        `mmap` reads pages when they are touched; `verify` reads everything once to compare the SHA-256 sums.
        """
        arrays, header = read_trie(Path(folder), mmap=mmap, verify=verify)
        return cls(arrays, *header)

    def _node(self, prefix: Prefix) -> int | None:
        """Number of a prefix among those of its length; None where no row begins so."""
        if len(prefix) > self.length:
            raise ValueError(f"a prefix has at most {self.length} codes, got {len(prefix)}")
        node: int | None = 0
        for depth, code in enumerate(prefix):
            node = None if node is None else self.advance(depth, node, int(code))
        return node

    def __repr__(self) -> str:
        return f"PrefixTrie(rows={self.num_rows}, level_sizes={self.level_sizes}, num_nodes={self.num_nodes})"


def _widest(counts: Int32[ndarray, " nodes"]) -> Int64[ndarray, " kept"]:
    kept = min(WIDEST_KEPT, len(counts))
    return np.cumsum(np.sort(np.partition(counts, len(counts) - kept)[-kept:])[::-1], dtype=np.int64)
