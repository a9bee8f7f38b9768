"""Sequences -> batches: which windows an epoch visits, in which order, and their padding."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from torch import Tensor

from genrec.data.interactions import Interactions
from genrec.data.splits import Splits

PADDING = -1
_BATCHES_PER_POOL = 16  # windows are sorted by length within a pool of so many batches: little padding, much shuffling


class Batch(NamedTuple):
    """Item rows, oldest first, padded with -1 at the end."""

    history: Int[Tensor, "batch items"]
    targets: Int[Tensor, "batch positions"]


class Windows(NamedTuple):
    """Training examples as ranges of `Interactions.items`: a window reads [begin, end).

    Its targets are the items after each position, [begin + 1, end + 1); `newest_only` keeps the last of them.
    """

    begin: Int[ndarray, " windows"]
    end: Int[ndarray, " windows"]
    newest_only: bool

    def num_targets(self, chosen: Int[ndarray, " batch"]) -> int:
        """How many targets the chosen windows have together."""
        return len(chosen) if self.newest_only else int((self.end[chosen] - self.begin[chosen]).sum())


def target_shares(
    items: Int[ndarray, " interactions"], windows: Windows, *, num_items: int
) -> Float32[ndarray, " items"]:
    """Of all targets of an epoch, the share that each item is."""
    first = windows.end if windows.newest_only else windows.begin + 1
    steps = np.bincount(first, minlength=len(items) + 1) - np.bincount(windows.end + 1, minlength=len(items) + 1)
    counts = np.bincount(items, weights=np.cumsum(steps)[: len(items)], minlength=num_items)
    return (counts / max(counts.sum(), 1)).astype(np.float32)


def sequence_windows(interactions: Interactions, splits: Splits, *, max_items: int) -> Windows:
    """Windows of at most `max_items` that together train every position of every training part exactly once.

    Long sequences are cut from their newest end, so that only the oldest window of a user is short.
    """
    first = interactions.offsets[:-1]
    last = splits.train_end - 1  # the newest training item is a target only
    counts = np.maximum(-(-(last - first) // max_items), 0)
    users = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    end = last[users] - nth * max_items
    return Windows(np.maximum(end - max_items, first[users]), end, newest_only=False)


def prefix_windows(interactions: Interactions, splits: Splits, *, max_items: int) -> Windows:
    """One window per target, reading the `max_items` before it: what a bidirectional encoder needs."""
    first = interactions.offsets[:-1]
    counts = np.maximum(splits.train_end - 1 - first, 0)
    users = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    end = first[users] + 1 + nth
    return Windows(np.maximum(end - max_items, first[users]), end, newest_only=True)


def epoch_order(windows: Windows, *, batch_size: int, seed: int, epoch: int) -> Iterator[Int[ndarray, " batch"]]:
    """The batches of an epoch as window numbers: a function of (seed, epoch) and of nothing else.

    Windows are shuffled, sorted by length within pools of a few batches, and the batches shuffled again.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(windows.begin))
    lengths = windows.end - windows.begin
    pool_size = batch_size * _BATCHES_PER_POOL
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        for i in random.permutation(len(batches)):
            yield batches[i]


def num_batches(windows: Windows, *, batch_size: int) -> int:
    """Batches in one epoch."""
    return -(-len(windows.begin) // batch_size)


def window_batch(items: Int[ndarray, " interactions"], windows: Windows, chosen: Int[ndarray, " batch"]) -> Batch:
    """The chosen windows as padded tensors."""
    begin, end = windows.begin[chosen], windows.end[chosen]
    history = padded_ranges(items, begin, end)
    if windows.newest_only:
        return Batch(torch.from_numpy(history), torch.from_numpy(items[end][:, None].astype(np.int64)))
    return Batch(torch.from_numpy(history), torch.from_numpy(padded_ranges(items, begin + 1, end + 1)))


def padded_ranges(
    items: Int[ndarray, " interactions"], begin: Int[ndarray, " batch"], end: Int[ndarray, " batch"]
) -> Int[ndarray, "batch width"]:
    """Rows `items[begin:end]`, padded at the end to the longest of them (at least 1)."""
    lengths = end - begin
    places = np.arange(max(int(lengths.max(initial=0)), 1))
    inside = places < lengths[:, None]
    sources = np.where(inside, begin[:, None] + places, 0)
    return np.where(inside, items[sources], PADDING).astype(np.int64)


def history_batch(histories: Sequence[Int[ndarray, " _"]], *, max_items: int) -> Int[Tensor, "batch width"]:
    """The newest `max_items` of each history, padded at the end."""
    kept = [history[-max_items:] for history in histories]
    padded = np.full((len(kept), max([len(history) for history in kept] + [1])), PADDING, dtype=np.int64)
    for row, history in zip(padded, kept, strict=True):
        row[: len(history)] = history
    return torch.from_numpy(padded)
