"""Per-request filters that leave no dead ends: a child is offered only if an allowed row lies below it.

Every filter lives over sorted positions, where a node is a range [lo, hi). `alive(lo, hi)` says whether the range
holds an allowed row; hand the filter to `trie.step`. Filters are joined row by row (`Conjunction`), since a node may
hold a row that passes one filter and a row that passes the other but none that passes both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from trie.bitmap import Bitmap
from trie.row_sets import AllowRows, DenyRows, RowSets


@dataclass(frozen=True, eq=False)
class Conjunction:
    """The rows that pass every filter. Where none does, the user's beams are dead from the first step on."""

    bitmap: Bitmap | None
    deny: DenyRows | None
    """The denied rows, without those that the bitmap leaves out."""
    allow: AllowRows | None
    """The listed rows that pass both of the others, which may be None where every user has a list."""

    @classmethod
    def of(cls, *filters: "Filter") -> "Conjunction":
        """The conjunction of filters over the same trie and batch."""
        parts: list = [part for one in filters for part in (one._parts() if isinstance(one, Conjunction) else [one])]
        bitmap = _join_bitmaps([part for part in parts if isinstance(part, Bitmap)])
        deny = _join_denied([part for part in parts if isinstance(part, DenyRows)])
        allow = _join_allowed([part for part in parts if isinstance(part, AllowRows)])
        if deny is not None and allow is not None and deny.batch_size != allow.batch_size:
            raise ValueError(f"filters for batches of {deny.batch_size} and {allow.batch_size} users cannot be joined")
        if deny is not None and bitmap is not None:
            deny = replace(deny, keys=deny.keys_where(bitmap.holds(deny.positions())))
        if allow is not None:
            allow = _passing(allow, bitmap, deny)
            if allow.is_eager and not bool(allow.free.any()):
                bitmap = deny = None
        return cls(bitmap, deny, allow)

    @property
    def lists(self) -> AllowRows | None:
        """The users' short lists, already without what the other parts leave out."""
        return self.allow

    def alive(self, lo: Int64[Tensor, "batch *nodes"], hi: Int64[Tensor, "batch *nodes"]) -> Bool[Tensor, "..."]:
        """Does the range hold a row that passes every filter?"""
        left = hi - lo if self.bitmap is None else self.bitmap.count(lo, hi)
        if self.deny is not None:
            left = left - self.deny.count(lo, hi)
        if self.allow is None:
            return left > 0
        return torch.where(self.allow.listed(lo), self.allow.alive(lo, hi), left > 0)

    @property
    def share(self) -> float:
        """As in `Bitmap`."""
        return 1.0 if self.bitmap is None else self.bitmap.share

    def _parts(self) -> list:
        return [part for part in (self.bitmap, self.deny, self.allow) if part is not None]


Filter = AllowRows | DenyRows | Bitmap | Conjunction
"""What `trie.step` takes."""


def with_stock(stock: Bitmap | None, filters: Filter | None) -> Filter | None:
    """The filters within a trie's stock."""
    if stock is None or filters is None:
        return stock if filters is None else filters
    return Conjunction.of(filters, stock)


def _join_bitmaps(bitmaps: list[Bitmap]) -> Bitmap | None:
    return reduce(and_, bitmaps) if bitmaps else None


def _join_denied(denied: list[DenyRows]) -> DenyRows | None:
    if len(denied) < 2:
        return denied[0] if denied else None
    _same_batch(denied)
    keys = torch.cat([each.keys for each in denied]).sort().values
    every = replace(denied[0], keys=keys, fixed_length=any(each.fixed_length for each in denied))
    is_first = torch.ones_like(keys, dtype=torch.bool)
    is_first[1:] = keys[1:] != keys[:-1]
    return replace(every, keys=every.keys_where(is_first))


def _join_allowed(allowed: list[AllowRows]) -> AllowRows | None:
    if len(allowed) < 2:
        return allowed[0] if allowed else None
    _same_batch(allowed)
    return reduce(_on_both, allowed)


def _on_both(first: AllowRows, second: AllowRows) -> AllowRows:
    """The rows on both lists of each user, or on the only one; a user is free only with no list at all."""
    of_first = first.keys_where(second.has(first.keys) | second.frees(first.keys))
    of_second = second.keys_where(first.frees(second.keys))
    fixed = first.fixed_length or second.fixed_length
    keys = torch.cat([of_first, of_second]).sort().values
    return replace(first, keys=keys, free=first.free & second.free, fixed_length=fixed)


def _same_batch(filters: Sequence[RowSets]) -> None:
    sizes = sorted({(one.num_positions, one.batch_size) for one in filters})
    if len(sizes) > 1:
        raise ValueError(f"filters over different tries or batches cannot be joined: (rows, users) are {sizes}")


def _passing(allow: AllowRows, bitmap: Bitmap | None, deny: DenyRows | None) -> AllowRows:
    """The lists without the rows that the others leave out."""
    keys = allow.keys
    passing = torch.ones_like(keys, dtype=torch.bool) if bitmap is None else bitmap.holds(allow.positions())
    if deny is not None:
        entry, after = torch.searchsorted(keys, deny.keys), torch.searchsorted(keys, deny.keys, right=True)
        denied = torch.zeros(len(keys) + 1, dtype=torch.bool, device=keys.device)  # one more, for what is not listed
        passing &= ~denied.scatter_(0, torch.where(entry < after, entry, len(keys)), True)[:-1]
    return replace(allow, keys=allow.keys_where(passing))
