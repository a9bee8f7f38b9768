"""Sequences -> batches: the windows that are learnt from, and their padding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Int64
from numpy import ndarray
from torch import Tensor

PADDING = -1


class Batch(NamedTuple):
    """Item rows, oldest first, padded with -1 at the end."""

    history: Int[Tensor, "batch items"]
    targets: Int[Tensor, "batch positions"]


class Windows(NamedTuple):
    """Training examples as ranges of a flat array of items: a window reads [begin, end).

    Its targets are the items after each position, [begin + 1, end + 1); `newest_only` keeps the last of them.
    """

    begin: Int[ndarray, " windows"]
    end: Int[ndarray, " windows"]
    users: Int[ndarray, " windows"]
    """Whose they are."""
    newest_only: bool

    @property
    def lengths(self) -> Int[ndarray, " windows"]:
        """How many items each reads."""
        return self.end - self.begin

    @property
    def first_targets(self) -> Int[ndarray, " windows"]:
        """Where the targets begin; `end` is the last of them."""
        return self.end if self.newest_only else self.begin + 1

    def at(self, chosen: Int[ndarray, " chosen"] | slice) -> "Windows":
        """Some of the windows, in the order in which they are chosen."""
        return Windows(self.begin[chosen], self.end[chosen], self.users[chosen], self.newest_only)


def sequence_windows(begins: Int[ndarray, " users"], ends: Int[ndarray, " users"], *, max_items: int) -> Windows:
    """Windows of at most `max_items` that together train every position of the parts [begin, end) exactly once.

    Long sequences are cut from their newest end, so that only the oldest window of a user is short.
    """
    last = ends - 1  # the newest item is a target only
    counts = np.maximum(-(-(last - begins) // max_items), 0)
    users, nth = _numbered(counts)
    end = last[users] - nth * max_items
    return Windows(np.maximum(end - max_items, begins[users]), end, users, newest_only=False)


def prefix_windows(begins: Int[ndarray, " users"], ends: Int[ndarray, " users"], *, max_items: int) -> Windows:
    """One window per target of the parts [begin, end), reading the `max_items` before it.

    That is what a bidirectional encoder needs.
    """
    users, nth = _numbered(np.maximum(ends - 1 - begins, 0))
    end = begins[users] + 1 + nth
    return Windows(np.maximum(end - max_items, begins[users]), end, users, newest_only=True)


def _numbered(counts: Int[ndarray, " users"]) -> tuple[Int64[ndarray, " windows"], Int64[ndarray, " windows"]]:
    """The user of each window, and its number among the windows of this user."""
    users = np.repeat(np.arange(len(counts)), counts)
    return users, np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)


class Part(NamedTuple):
    """What one process computes of a step at a time."""

    batch: Batch
    places: Int[Tensor, " targets"]
    """Where its targets stand among those of the step."""


class StepWindows(NamedTuple):
    """The windows of one optimiser step, all processes together."""

    items: Int[ndarray, " interactions"]
    windows: Windows

    @property
    def num_targets(self) -> int:
        """How many targets they have together."""
        return int(self._targets_each.sum())

    @property
    def targets(self) -> Int[Tensor, " targets"]:
        """All of them, window by window."""
        lists = padded_ranges(self.items, self.windows.first_targets, self.windows.end + 1)
        return torch.from_numpy(lists[lists >= 0])

    def part(self, number: int, num_parts: int) -> Part:
        """Every `num_parts`-th window from `number` on; empty if there are not so many."""
        mine = slice(number, None, num_parts)
        counts = self._targets_each
        before = np.cumsum(counts) - counts
        places = padded_ranges(np.arange(counts.sum()), before[mine], before[mine] + counts[mine])
        return Part(window_batch(self.items, self.windows.at(mine)), torch.from_numpy(places[places >= 0]))

    @property
    def _targets_each(self) -> Int[ndarray, " windows"]:
        return self.windows.end + 1 - self.windows.first_targets


def window_batch(items: Int[ndarray, " interactions"], windows: Windows) -> Batch:
    """The windows as padded tensors."""
    history = padded_ranges(items, windows.begin, windows.end)
    targets = padded_ranges(items, windows.first_targets, windows.end + 1)
    return Batch(torch.from_numpy(history), torch.from_numpy(targets))


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
