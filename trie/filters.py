"""Per-request filters that leave no dead ends: a child is offered only if an allowed row lies below it.

Every filter lives over sorted positions, where a node is a range [lo, hi). `alive(lo, hi)` says whether the range
holds an allowed row; hand that method to `trie.step`. Filters are joined row by row (`Conjunction`), since a node may
hold a row that passes one filter and a row that passes the other but none that passes both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    """`user * stride + position`, ascending, each once."""
    stride: int
    """Rows in the trie + 1, so that the end of one user's range stays below the next user's."""
    batch_size: int

    def count(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Int64[Tensor, "..."]:
        """How many rows of each user's set lie in the range."""
        if len(lo) != self.batch_size:
            raise ValueError(f"the filter is for a batch of {self.batch_size} users, but the beams have {len(lo)}")
        base = torch.arange(len(lo), device=lo.device).mul(self.stride).view(-1, *[1] * (lo.ndim - 1))
        return torch.searchsorted(self.keys, base + hi) - torch.searchsorted(self.keys, base + lo)

    @property
    def positions(self) -> Int64[Tensor, " entries"]:
        """The sorted position of each key."""
        return self.keys % self.stride


@dataclass(frozen=True, eq=False)
class DenyRows(RowSets):
    """Everything but each user's rows, e.g. the history. A user may have none."""

    @classmethod
    def from_rows(cls, trie: TorchTrie, rows: Sequence[Rows]) -> "DenyRows":
        """From each user's rows, in any order; ValueError where a row is not in the trie."""
        return cls(*_keys(trie, rows), len(rows))

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold more rows than denied ones?"""
        return hi - lo > self.count(lo, hi)


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

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold a listed row?"""
        return torch.where(_per_user(self.free, lo), hi > lo, self.count(lo, hi) > 0)


@dataclass(frozen=True, eq=False)
class Bitmap:
    """The same rows for every user, e.g. what is in stock."""

    before: Int64[Tensor, " positions_plus_1"]
    """How many allowed rows lie before each sorted position."""

    @classmethod
    def from_mask(cls, trie: TorchTrie, mask: Bool[ndarray, " rows"]) -> "Bitmap":
        """From `mask[row]`: is the row allowed? ValueError where none is, or the length is not the trie's."""
        if len(mask) != trie.trie.num_rows:
            raise ValueError(f"the mask has {len(mask)} rows, but the trie has {trie.trie.num_rows}")
        if not mask.any():
            raise ValueError("the mask allows no row")
        before = np.append(0, np.cumsum(mask[trie.trie.arrays.order], dtype=np.int64))
        return cls(torch.from_numpy(before).to(trie.device))

    def count(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """How many allowed rows lie in the range."""
        return self.before[hi] - self.before[lo]

    def alive(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Does the range hold an allowed row?"""
        return self.count(lo, hi) > 0

    def holds(self, position: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Is the row at this sorted position allowed?"""
        return self.alive(position, position + 1)


@dataclass(frozen=True, eq=False)
class Conjunction:
    """The rows that pass every filter. Where none does, the user's beams are dead from the first step on."""

    bitmap: Bitmap | None
    deny: DenyRows | None
    """The denied rows, without those that the bitmap leaves out."""
    allow: AllowRows | None
    """The listed rows that pass both of the others."""

    @classmethod
    def of(cls, *filters: "AllowRows | DenyRows | Bitmap | Conjunction") -> "Conjunction":
        """The conjunction of filters over the same trie and batch."""
        parts: list = [part for one in filters for part in (one._parts() if isinstance(one, Conjunction) else [one])]
        bitmap = _join_bitmaps([part for part in parts if isinstance(part, Bitmap)])
        deny = _join_denied([part for part in parts if isinstance(part, DenyRows)])
        allow = _join_allowed([part for part in parts if isinstance(part, AllowRows)])
        if deny is not None and allow is not None and deny.batch_size != allow.batch_size:
            raise ValueError(f"filters for batches of {deny.batch_size} and {allow.batch_size} users cannot be joined")
        if deny is not None and bitmap is not None:
            deny = DenyRows(deny.keys[bitmap.holds(deny.positions)], deny.stride, deny.batch_size)
        if allow is not None and bitmap is not None:
            allow = _kept(allow, bitmap.holds(allow.positions))
        if allow is not None and deny is not None:
            allow = _kept(allow, ~torch.isin(allow.keys, deny.keys))
        return cls(bitmap, deny, allow)

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold a row that passes every filter?"""
        left = hi - lo if self.bitmap is None else self.bitmap.count(lo, hi)
        if self.deny is not None:
            left = left - self.deny.count(lo, hi)
        if self.allow is None:
            return left > 0
        return torch.where(_per_user(self.allow.free, lo), left > 0, self.allow.count(lo, hi) > 0)

    def _parts(self) -> list:
        return [part for part in (self.bitmap, self.deny, self.allow) if part is not None]


def _keys(trie: TorchTrie, rows: Sequence[Rows]) -> tuple[Tensor, int]:
    """`keys` and `stride` of RowSets."""
    stride = trie.trie.num_rows + 1
    lists = [np.asarray(listed, dtype=np.int64) for listed in rows]
    users = np.repeat(np.arange(len(lists)), [len(listed) for listed in lists])
    flat = np.concatenate([np.empty(0, dtype=np.int64), *lists])
    wrong = np.flatnonzero((flat < 0) | (flat >= trie.trie.num_rows))
    if len(wrong):
        row, user = flat[wrong[0]], users[wrong[0]]
        raise ValueError(f"row {row} of user {user} of the batch is not in the trie: rows are 0..{stride - 2}")
    keys = np.unique(users * stride + trie.trie.arrays.position[flat])
    return torch.from_numpy(keys).to(trie.device), stride


def _per_user(flags: Bool[Tensor, " batch"], like: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
    if len(flags) != len(like):
        raise ValueError(f"the filter is for a batch of {len(flags)} users, but the beams have {len(like)}")
    return flags.view(-1, *[1] * (like.ndim - 1))


def _join_bitmaps(bitmaps: list[Bitmap]) -> Bitmap | None:
    if len(bitmaps) < 2:
        return bitmaps[0] if bitmaps else None
    both = torch.stack([bitmap.before.diff() for bitmap in bitmaps]).amin(0)
    return Bitmap(torch.cat([both.new_zeros(1), both.cumsum(0)]))


def _join_denied(denied: list[DenyRows]) -> DenyRows | None:
    if len(denied) < 2:
        return denied[0] if denied else None
    _same_batch(denied)
    keys = torch.cat([each.keys for each in denied]).unique()
    return DenyRows(keys, denied[0].stride, denied[0].batch_size)


def _join_allowed(allowed: list[AllowRows]) -> AllowRows | None:
    """The rows on every list that a user has; a user is free only with no list at all."""
    if len(allowed) < 2:
        return allowed[0] if allowed else None
    _same_batch(allowed)
    free = torch.stack([each.free for each in allowed])
    keys = torch.cat([each.keys for each in allowed])
    keys, times = keys.unique(return_counts=True)
    lists = (~free).sum(0)
    keys = keys[times == lists[keys // allowed[0].stride]]
    return AllowRows(keys, allowed[0].stride, allowed[0].batch_size, free.all(0))


def _same_batch(filters: Sequence[RowSets]) -> None:
    sizes = sorted({(one.stride, one.batch_size) for one in filters})
    if len(sizes) > 1:
        raise ValueError(f"filters over different tries or batches cannot be joined: (rows + 1, users) are {sizes}")


def _kept(allow: AllowRows, keep: Bool[Tensor, " entries"]) -> AllowRows:
    return AllowRows(allow.keys[keep], allow.stride, allow.batch_size, allow.free)
