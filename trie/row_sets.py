"""Rows of each user as filters: those that are denied, and those that alone are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Int64, Integer
from numpy import ndarray
from torch import Tensor

from trie.torch_trie import TorchTrie

Rows = Sequence[SupportsIndex] | Integer[ndarray, " _"]  # no name: the lists of a batch differ in length


@dataclass(frozen=True, eq=False)
class RowSets:
    """One set of rows per user, as sorted positions in one flat list."""

    keys: Int64[Tensor, " entries"]
    """`user * stride + position`, ascending, each once; then `nowhere` in entries that are not used."""
    stride: int
    """Rows in the trie + 1, so that the end of one user's range stays below the next user's."""
    batch_size: int
    fixed_length: bool = field(default=False, kw_only=True)
    """Whether joins keep the number of entries on the CPU, too, as they do elsewhere and when compiling."""

    def count(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Int64[Tensor, "..."]:
        """How many rows of each user's set lie in the range."""
        first, last = self.places(lo, hi)
        return last - first

    def places(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> tuple[Tensor, Tensor]:
        """Which entries lie in the range: the first one, and the one after the last."""
        if len(lo) != self.batch_size:
            raise ValueError(f"the filter is for a batch of {self.batch_size} users, but the beams have {len(lo)}")
        base = torch.arange(len(lo), device=lo.device).mul(self.stride).view(-1, *[1] * (lo.ndim - 1))
        return torch.searchsorted(self.keys, base + lo), torch.searchsorted(self.keys, base + hi)

    @property
    def positions(self) -> Int64[Tensor, " entries"]:
        """The sorted position of each key."""
        return self.keys % self.stride

    @property
    def nowhere(self) -> int:
        """The key of an unused entry: above every user's, with 0 for its position."""
        return (1 << 62) // self.stride * self.stride

    @property
    def is_eager(self) -> bool:
        """Whether looking at the entries costs nothing; see `trie.listing`."""
        return self.keys.device.type == "cpu" and not self.fixed_length and not torch.compiler.is_compiling()

    def has(self, keys: Int64[Tensor, " others"]) -> Bool[Tensor, " others"]:
        """Which of these keys are among its own."""
        if not len(self.keys):
            return torch.zeros_like(keys, dtype=torch.bool)
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return self.keys[place] == keys

    def keys_where(self, keep: Bool[Tensor, " entries"]) -> Int64[Tensor, " kept"]:
        """Some of the keys; where looking costs something, as many entries as before, the others unused."""
        return self.keys[keep] if self.is_eager else torch.where(keep, self.keys, self.nowhere).sort().values

    def padded_keys(self, *, batch_size: int, num_entries: int) -> Int64[Tensor, " entries"]:
        """The keys and unused entries after them; ValueError where either number is too small for the sets."""
        if batch_size < self.batch_size or num_entries < len(self.keys):
            raise ValueError(
                f"{self.batch_size} users and {len(self.keys)} entries cannot be padded "
                f"to {batch_size} and {num_entries}"
            )
        return torch.cat([self.keys, self.keys.new_full((num_entries - len(self.keys),), self.nowhere)])


@dataclass(frozen=True, eq=False)
class DenyRows(RowSets):
    """Everything but each user's rows, e.g. the history. A user may have none."""

    @classmethod
    def from_rows(cls, trie: TorchTrie, rows: Sequence[Rows]) -> "DenyRows":
        """From each user's rows, in any order; ValueError where a row is not in the trie."""
        return cls(*_keys(trie, rows), len(rows))

    @property
    def lists(self) -> None:
        """None: nothing but denied rows."""
        return None

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold more rows than denied ones?"""
        return hi - lo > self.count(lo, hi)

    def where(self, keep: Bool[Tensor, " entries"]) -> "DenyRows":
        """Some of the entries."""
        return DenyRows(self.keys_where(keep), self.stride, self.batch_size, fixed_length=self.fixed_length)

    def padded(self, *, batch_size: int, num_entries: int) -> "DenyRows":
        """The same with a fixed number of entries, for a batch with more users, to whom nothing is denied."""
        keys = self.padded_keys(batch_size=batch_size, num_entries=num_entries)
        return DenyRows(keys, self.stride, batch_size, fixed_length=True)


@dataclass(frozen=True, eq=False)
class AllowRows(RowSets):
    """Nothing but each user's rows."""

    free: Bool[Tensor, " batch"]
    """The users without a list, to whom everything is allowed."""

    @classmethod
    def from_rows(cls, trie: TorchTrie, rows: Sequence[Rows | None]) -> "AllowRows":
        """From each user's rows, in any order; None: no list, everything is allowed.

        ValueError where a list is empty or a row is not in the trie.
        """
        for user, listed in enumerate(rows):
            if listed is not None and len(listed) == 0:
                raise ValueError(f"the allow list of user {user} of the batch is empty; give None to allow everything")
        free = torch.tensor([listed is None for listed in rows], dtype=torch.bool, device=trie.device)
        return cls(*_keys(trie, [() if listed is None else listed for listed in rows]), len(rows), free)

    @property
    def lists(self) -> "AllowRows":
        """Itself."""
        return self

    def listed(self, like: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Has the user a list? In a shape that goes with `[batch, ...]`."""
        return ~_per_user(self.free, like)

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold a listed row?"""
        return torch.where(_per_user(self.free, lo), hi > lo, self.count(lo, hi) > 0)

    def frees(self, keys: Int64[Tensor, " others"]) -> Bool[Tensor, " others"]:
        """Which of these keys belong to users without a list; those of unused entries may be called either."""
        return self.free[(keys // self.stride).clamp(max=self.batch_size - 1)]

    def where(self, keep: Bool[Tensor, " entries"]) -> "AllowRows":
        """Some of the entries, for the same users."""
        return AllowRows(self.keys_where(keep), self.stride, self.batch_size, self.free, fixed_length=self.fixed_length)

    def padded(self, *, batch_size: int, num_entries: int) -> "AllowRows":
        """The same with a fixed number of entries, for a batch with more users, to whom everything is allowed."""
        keys = self.padded_keys(batch_size=batch_size, num_entries=num_entries)
        free = torch.cat([self.free, self.free.new_ones(batch_size - self.batch_size)])
        return AllowRows(keys, self.stride, batch_size, free, fixed_length=True)


def _keys(trie: TorchTrie, rows: Sequence[Rows]) -> tuple[Tensor, int]:
    """`keys` and `stride` of RowSets."""
    stride = trie.trie.num_rows + 1
    lists = [np.asarray(listed, dtype=np.int64) for listed in rows]
    users = np.repeat(np.arange(len(lists)), [len(listed) for listed in lists])
    flat = np.concatenate([np.empty(0, dtype=np.int64), *lists])
    last = trie.trie.num_row_slots - 1
    wrong = np.flatnonzero((flat < 0) | (flat > last))
    if len(wrong):
        row, user = flat[wrong[0]], users[wrong[0]]
        raise ValueError(f"row {row} of user {user} of the batch is not in the trie: rows are 0..{last}")
    positions = trie.trie.arrays.position[flat]
    keys = np.unique((users * stride + positions)[positions >= 0])
    return torch.from_numpy(keys).to(trie.device), stride


def _per_user(flags: Bool[Tensor, " batch"], like: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
    if len(flags) != len(like):
        raise ValueError(f"the filter is for a batch of {len(flags)} users, but the beams have {len(like)}")
    return flags.view(-1, *[1] * (like.ndim - 1))
