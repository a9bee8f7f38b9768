"""The order of an epoch: which windows are learnt from in which step, a function of (seed, epoch) and nothing else.

So it is the same for any number of processes, and a training goes on at any step of it. Sequences come in blocks, as
much as is in memory at a time; what fits is one block.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray

from genrec.data.batches import StepWindows, Windows, padded_ranges
from genrec.errors import DataError

_BATCHES_PER_POOL = 16  # windows are sorted by length within a pool of so many batches: little padding, much shuffling


@runtime_checkable
class TrainingData(Protocol):
    """Where a training's windows come from."""

    @property
    def num_windows(self) -> int:
        """Of an epoch."""
        ...

    def steps(self, *, batch_size: int, seed: int, epoch: int, first: int = 0) -> Iterator[StepWindows]:
        """The windows of every step of an epoch, from step `first` of it on.

        Each has `batch_size` of them, but one of the last few of an epoch: it has what is left.
        """
        ...

    def target_shares(self, num_items: int) -> Float32[ndarray, " items"]:
        """Of all targets of an epoch, the share that each item is."""
        ...


class HeldWindows(NamedTuple):
    """Training data that is in memory as a whole."""

    items: Int[ndarray, " interactions"]
    windows: Windows

    @property
    def num_windows(self) -> int:
        """As `TrainingData.num_windows`."""
        return len(self.windows.begin)

    def steps(self, *, batch_size: int, seed: int, epoch: int, first: int = 0) -> Iterator[StepWindows]:
        """As `TrainingData.steps`."""
        return block_steps([self], batch_size=batch_size, seed=seed, epoch=epoch, first=first)

    def target_shares(self, num_items: int) -> Float32[ndarray, " items"]:
        """As `TrainingData.target_shares`."""
        return shares(self.target_counts(num_items))

    def target_counts(self, num_items: int) -> Int64[ndarray, " items"]:
        """How often each item is a target in an epoch."""
        changes = np.zeros(len(self.items) + 2, dtype=np.int64)
        np.add.at(changes, self.windows.first_targets, 1)
        np.add.at(changes, self.windows.end + 1, -1)
        times = np.cumsum(changes)[: len(self.items)]
        return np.bincount(self.items, weights=times, minlength=num_items).astype(np.int64)

    def at(self, chosen: Int[ndarray, " chosen"]) -> "HeldWindows":
        """Some of the windows, and no items but theirs."""
        windows = self.windows.at(chosen)
        lists = padded_ranges(self.items, windows.begin, windows.end + 1)
        end = np.cumsum(windows.lengths + 1) - 1
        return HeldWindows(lists[lists >= 0], windows._replace(begin=end - windows.lengths, end=end))

    def followed_by(self, other: "HeldWindows") -> "HeldWindows":
        """All windows of both."""
        shift, ours, theirs = len(self.items), self.windows, other.windows
        windows = Windows(
            np.concatenate([ours.begin, theirs.begin + shift]),
            np.concatenate([ours.end, theirs.end + shift]),
            np.concatenate([ours.users, theirs.users]),
            ours.newest_only,
        )
        return HeldWindows(np.concatenate([self.items, other.items]), windows)


@runtime_checkable
class Blocks(Protocol):
    """Parts of the training data in the order of an epoch, each read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> HeldWindows: ...


def require_windows(data: TrainingData) -> None:
    """`DataError` if there is nothing to learn from."""
    if not data.num_windows:
        raise DataError(
            "no user has two interactions in the training part, so there is no next item to learn; "
            "give more data, lower data.k_core, or move the split"
        )


def num_steps(num_windows: int, *, batch_size: int) -> int:
    """Steps of one epoch."""
    return -(-num_windows // batch_size)


def shares(counts: Int64[ndarray, " items"]) -> Float32[ndarray, " items"]:
    """Counts as parts of their sum."""
    return (counts / max(counts.sum(), 1)).astype(np.float32)


def block_steps(
    blocks: Blocks,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    first: int = 0,
    sizes: Sequence[int] | None = None,
) -> Iterator[StepWindows]:
    """The steps of an epoch that takes the blocks in turn.

    The windows of a block are shuffled. Those that fill no batch at its end go before the ones of the next block.
    `sizes`: how many windows each block has, if that is known without reading them: blocks whose steps all lie before
    `first` are then not read, unless windows of theirs are left over.
    """
    sizes = [block.num_windows for block in blocks] if sizes is None else sizes
    ends = np.cumsum(sizes)
    left_over: HeldWindows | None = None
    for number in range(_first_block(ends, batch_size=batch_size, first=first), len(blocks)):
        random = np.random.default_rng((seed, epoch, number))
        order = random.permutation(sizes[number])
        held = blocks[number]
        if left_over is not None:
            order = np.concatenate([np.arange(left_over.num_windows), order + left_over.num_windows])
            held = left_over.followed_by(held)
        num_left = 0 if number == len(blocks) - 1 else int(ends[number] % batch_size)
        cut = max(len(order) - num_left, 0)
        steps_by_its_end = num_steps(int(ends[number]) - num_left, batch_size=batch_size)
        done = steps_by_its_end - num_steps(cut, batch_size=batch_size)
        for place, batch in enumerate(_batches(order[:cut], held.windows.lengths, batch_size, random), start=done):
            if place >= first:
                yield StepWindows(held.items, held.windows.at(batch))
        left_over = held.at(order[cut:]) if num_left else None


def _first_block(ends: Int[ndarray, " blocks"], *, batch_size: int, first: int) -> int:
    """The earliest block that has to be read for the steps from `first` on."""
    number = min(int(np.searchsorted(ends // batch_size, first, side="right")), len(ends) - 1)
    if number == 0:
        return 0
    left_over = int(ends[number - 1]) % batch_size
    return int(np.searchsorted(ends, ends[number - 1] - left_over, side="right")) if left_over else number


def _batches(
    order: Int[ndarray, " ordered"], lengths: Int[ndarray, " windows"], batch_size: int, random: np.random.Generator
) -> Iterator[Int[ndarray, " batch"]]:
    """The windows, in this order, cut into batches: sorted by length within pools of a few, the batches shuffled."""
    pool_size = batch_size * _BATCHES_PER_POOL
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        for i in random.permutation(len(batches)):
            yield batches[i]
