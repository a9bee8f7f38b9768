"""PrefixTrie: a catalogue's semantic IDs as a trie in flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
from jaxtyping import Int32, Integer
from numpy import ndarray

from trie.build import TrieArrays, build_arrays, checked_level_sizes, checked_rows
from trie.files import read_arrays, write_arrays

if TYPE_CHECKING:
    import torch

    from trie.torch_trie import TorchTrie

Prefix = Sequence[SupportsIndex] | Integer[ndarray, " codes"]


@dataclass(frozen=True, eq=False, repr=False)
class PrefixTrie:
    """Which code may follow which prefix, and which rows lie below it.

    Build one with `from_codes`. Equal rows are allowed: they share a leaf.
    """

    arrays: TrieArrays
    level_sizes: tuple[int, ...]
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
        sizes = checked_level_sizes(codes, level_sizes)
        numbers = None if rows is None else checked_rows(rows, len(codes))
        return cls(build_arrays(codes, sizes, numbers), sizes)

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
    def fanout(self) -> tuple[int, ...]:
        """The most children that a node has, per level."""
        return tuple(int(np.diff(child).max()) for child in self.arrays.child)

    @property
    def nbytes(self) -> int:
        """Bytes of every array that the trie keeps, the filters' position table included."""
        return sum(array.nbytes for array in named_arrays(self.arrays).values())

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
        child = self.arrays.child[len(prefix)]
        return self.arrays.token[len(prefix)][child[node] : child[node + 1]]

    def advance(self, depth: int, node: int, code: int) -> int | None:
        """The child that `code` leads to from a node at `depth`, as its number at the next depth; None without one."""
        if not 0 <= code < self.level_sizes[depth]:
            raise ValueError(f"code {code} at level {depth} is outside 0..{self.level_sizes[depth] - 1}")
        begin, end = self.arrays.child[depth][node], self.arrays.child[depth][node + 1]
        tokens = self.arrays.token[depth][begin:end]
        offset = int(np.searchsorted(tokens, code))
        return int(begin) + offset if offset < len(tokens) and tokens[offset] == code else None

    def first(self, depth: int, node: int) -> int:
        """Sorted position of the first row below a node; the node after the last gives the number of rows."""
        for child in self.arrays.child[depth:]:
            node = int(child[node])
        if self.arrays.shared is None or self.arrays.extra is None:
            return node
        return node + int(self.arrays.extra[np.searchsorted(self.arrays.shared, node)])

    def to(self, device: "str | torch.device") -> "TorchTrie":
        """The torch view that `trie.step` and the filters use; on the CPU it shares this trie's memory."""
        from trie.torch_trie import TorchTrie

        return TorchTrie.from_trie(self, device)

    def save(self, folder: str | Path) -> None:
        """Write raw arrays, a JSON header and a manifest of SHA-256 sums; replaces an older trie there as a whole."""
        write_arrays(Path(folder), named_arrays(self.arrays), {"level_sizes": list(self.level_sizes)})

    @classmethod
    def load(cls, folder: str | Path, *, mmap: bool = True, verify: bool = True) -> "PrefixTrie":
        """The trie that `save` wrote; TrieFileError (a ValueError) names the file that is missing or damaged.

        `mmap` reads pages when they are touched; `verify` reads everything once to compare the SHA-256 sums.
        """
        arrays, header = read_arrays(Path(folder), mmap=mmap, verify=verify)
        sizes = tuple(header["level_sizes"])
        levels = range(len(sizes))
        return cls(
            TrieArrays(
                token=tuple(arrays[f"token{level}"] for level in levels),
                child=tuple(arrays[f"child{level}"] for level in levels),
                order=arrays["order"],
                position=arrays["position"],
                shared=arrays.get("shared"),
                extra=arrays.get("extra"),
            ),
            sizes,
        )

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


def named_arrays(arrays: TrieArrays) -> dict[str, ndarray]:
    """Every array that is kept, by the name it is saved under."""
    named = {f"token{level}": token for level, token in enumerate(arrays.token)}
    named |= {f"child{level}": child for level, child in enumerate(arrays.child)}
    named |= {"order": arrays.order, "position": arrays.position}
    if arrays.shared is not None and arrays.extra is not None:
        named |= {"shared": arrays.shared, "extra": arrays.extra}
    return named
