"""Rows of each user as filters: those that are denied, and those that alone are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Int64, Integer, Shaped
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import pad

from trie.torch_trie import TorchTrie

Rows = Sequence[SupportsIndex] | Integer[ndarray, " _"]  # no name: the lists of a batch differ in length
POSITION_BITS = 32  # a trie holds fewer than 2**31 rows
NOWHERE = 1 << 62
"""The key of an entry that is not used: after every user's, with 0 for its position."""


@dataclass(frozen=True, eq=False)
class RowSets:
    """One set of rows per user, as sorted positions in one flat list."""

    keys: Int64[Tensor, " entries"]
    """`user << POSITION_BITS | position`, ascending, each once; then `NOWHERE` in entries that are not used."""
    num_positions: int
    batch_size: int
    fixed_length: bool = field(default=False, kw_only=True)
    """Whether joins keep the number of entries on the CPU, too, as they do elsewhere and when compiling."""

    share = 1.0
    """As in `Bitmap`: few rows are denied, and of short lists nobody asks."""

    def count(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Int64[Tensor, "..."]:
        """How many rows of each user's set lie in the range."""
        first, last = self.places(lo, hi)
        return last - first

    def places(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> tuple[Tensor, Tensor]:
        """Which entries lie in the range: the first one, and the one after the last."""
        return torch.searchsorted(self.keys, self.keys_of(lo)), torch.searchsorted(self.keys, self.keys_of(hi))

    def keys_of(self, position: Int64[Tensor, "batch *nodes"]) -> Int64[Tensor, "batch *nodes"]:
        """The keys that each user's positions would have."""
        users = torch.arange(self.batch_size, device=position.device)
        return (self.per_user(users, position) << POSITION_BITS) + position

    def per_user(self, values: Shaped[Tensor, " batch"], like: Int64[Tensor, "users *nodes"]) -> Shaped[Tensor, "..."]:
        """The users' values in a shape that goes with `[batch, ...]`; ValueError for another number of users."""
        if len(like) != self.batch_size:
            raise ValueError(f"the filter is for a batch of {self.batch_size} users, but the beams have {len(like)}")
        return values.view(-1, *[1] * (like.ndim - 1))

    def positions(self, entry: Int64[Tensor, " some"] | slice = slice(None)) -> Int64[Tensor, " some"]:
        """The sorted positions of some entries, by default of all."""
        return self.keys[entry] & ((1 << POSITION_BITS) - 1)

    @property
    def users(self) -> Int64[Tensor, " entries"]:
        """The user of each key."""
        return self.keys >> POSITION_BITS

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
        """Some of the keys; where looking costs something, as many entries as before, the others not used."""
        return self.keys[keep] if self.is_eager else torch.where(keep, self.keys, NOWHERE).sort().values

    def padded_keys(self, *, batch_size: int, num_entries: int) -> Int64[Tensor, " entries"]:
        """The keys, and entries that are not used; ValueError where either number is too small for the sets."""
        if batch_size < self.batch_size or num_entries < len(self.keys):
            raise ValueError(
                f"{self.batch_size} users and {len(self.keys)} entries cannot be padded "
                f"to {batch_size} and {num_entries}"
            )
        return pad(self.keys, (0, num_entries - len(self.keys)), value=NOWHERE)


@dataclass(frozen=True, eq=False)
class DenyRows(RowSets):
    """Everything but each user's rows, e.g. the history. A user may have none."""

    @classmethod
    def from_rows(cls, trie: TorchTrie, rows: Sequence[Rows]) -> "DenyRows":
        """From each user's rows, in any order; ValueError where a row is not in the trie."""
        return cls(_keys(trie, rows), trie.trie.num_rows, len(rows))

    @property
    def lists(self) -> None:
        """None: nothing but denied rows."""
        return None

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold more rows than denied ones?"""
        return hi - lo > self.count(lo, hi)

    def padded(self, *, batch_size: int, num_entries: int) -> "DenyRows":
        """A copy with a fixed number of entries, for a batch with more users, to whom nothing is denied."""
        keys = self.padded_keys(batch_size=batch_size, num_entries=num_entries)
        return DenyRows(keys, self.num_positions, batch_size, fixed_length=True)


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
        keys = _keys(trie, [() if listed is None else listed for listed in rows])
        return cls(keys, trie.trie.num_rows, len(rows), free)

    @property
    def lists(self) -> "AllowRows":
        """Itself."""
        return self

    def listed(self, like: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Has the user a list? In a shape that goes with `[batch, ...]`."""
        return ~self.per_user(self.free, like)

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold a listed row?"""
        # one search, where a count would take two; after the last key stands that of a user past the last
        keys = pad(self.keys, (0, 1), value=self.batch_size << POSITION_BITS)
        following = keys[torch.searchsorted(self.keys, self.keys_of(lo))]
        return torch.where(self.per_user(self.free, lo), hi > lo, following < self.keys_of(hi))

    def frees(self, keys: Int64[Tensor, " others"]) -> Bool[Tensor, " others"]:
        """Which of these keys belong to users without a list; for entries that are not used it means nothing."""
        return self.free[(keys >> POSITION_BITS).clamp(max=self.batch_size - 1)]

    def padded(self, *, batch_size: int, num_entries: int) -> "AllowRows":
        """A copy with a fixed number of entries, for a batch with more users, to whom everything is allowed."""
        keys = self.padded_keys(batch_size=batch_size, num_entries=num_entries)
        free = pad(self.free, (0, batch_size - self.batch_size), value=True)
        return AllowRows(keys, self.num_positions, batch_size, free, fixed_length=True)


def _keys(trie: TorchTrie, rows: Sequence[Rows]) -> Int64[Tensor, " entries"]:
    """`keys` of RowSets."""
    lists = [np.asarray(listed, dtype=np.int64) for listed in rows]
    users = np.repeat(np.arange(len(lists)), [len(listed) for listed in lists])
    flat = np.concatenate([np.empty(0, dtype=np.int64), *lists])
    last = trie.trie.num_row_slots - 1
    wrong = np.flatnonzero((flat < 0) | (flat > last))
    if len(wrong):
        row, user = flat[wrong[0]], users[wrong[0]]
        raise ValueError(f"row {row} of user {user} of the batch is not in the trie: rows are 0..{last}")
    # -1 for a row number that the trie leaves out, whoever the user is
    keys = np.sort(users << POSITION_BITS | trie.trie.arrays.position[flat])
    return torch.from_numpy(keys[np.diff(keys, prepend=-1) > 0]).to(trie.device)
