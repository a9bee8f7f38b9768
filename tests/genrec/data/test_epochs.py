from itertools import chain

import numpy as np
import pytest

from genrec.data.batches import StepWindows, prefix_windows, sequence_windows
from genrec.data.epochs import HeldWindows, block_steps, num_steps, require_windows
from genrec.errors import DataError


def held(lengths, *, make=sequence_windows, max_items=5, num_items=1000, seed=0):
    ends = np.cumsum(lengths)
    items = np.random.default_rng(seed).integers(num_items, size=ends[-1]).astype(np.int32)
    return HeldWindows(items, make(ends - lengths, ends, max_items=max_items))


def contents(step):
    """What each window of a step reads and predicts, whatever array it stands in."""
    windows = step.windows
    return [
        (user, tuple(step.items[begin : end + 1]))
        for user, begin, end in zip(windows.users.tolist(), windows.begin, windows.end, strict=True)
    ]


def order_by_definition(lengths, *, batch_size, seed, epoch):
    """The windows shuffled, sorted by length within 16 batches, and those batches shuffled."""
    random = np.random.default_rng((seed, epoch))
    order, found = random.permutation(len(lengths)).tolist(), []
    for start in range(0, len(order), 16 * batch_size):
        pool = sorted(order[start : start + 16 * batch_size], key=lambda window: lengths[window])
        batches = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        found += [batches[i] for i in random.permutation(len(batches))]
    return found


def test_data_in_memory_comes_in_the_order_of_the_definition():
    data = held(np.random.default_rng(1).integers(2, 60, size=500), max_items=20)
    expected = order_by_definition(data.windows.lengths, batch_size=8, seed=3, epoch=2)
    found = list(data.steps(batch_size=8, seed=3, epoch=2))
    assert len(found) == len(expected) == num_steps(data.num_windows, batch_size=8)
    for step, windows in zip(found, expected, strict=True):
        assert step.windows.begin.tolist() == data.windows.begin[windows].tolist()


def test_an_epoch_visits_every_window_once_and_follows_from_seed_and_epoch():
    data = held(np.full(100, 7))
    steps = [contents(step) for step in data.steps(batch_size=16, seed=1, epoch=0)]
    assert sorted(chain.from_iterable(steps)) == sorted(
        (user, tuple(data.items[begin : end + 1]))
        for user, begin, end in zip(data.windows.users, data.windows.begin, data.windows.end, strict=True)
    )
    assert steps == [contents(step) for step in data.steps(batch_size=16, seed=1, epoch=0)]
    assert steps != [contents(step) for step in data.steps(batch_size=16, seed=1, epoch=1)]


def test_windows_of_a_batch_have_similar_lengths():
    data = held(np.array(list(range(4, 44)) * 40), max_items=50)
    spread = [np.ptp(step.windows.lengths) for step in data.steps(batch_size=16, seed=0, epoch=0)]
    assert np.mean(spread) < 5


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
def test_shares_of_targets_count_every_trained_position(make):
    lengths = np.array([1, 2, 3, 4, 9, 30])
    data = held(lengths, make=make, max_items=4, num_items=7)
    firsts = set(np.cumsum(lengths) - lengths)
    targets = np.array([item for place, item in enumerate(data.items) if place not in firsts])
    expected = [(targets == item).sum() / len(targets) for item in range(7)]
    assert data.target_shares(7).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
def test_some_windows_bring_their_items_along(make):
    data = held(np.array([5, 9, 4, 12]), make=make)
    chosen = np.array([3, 0, 4])
    expected = contents(_whole(data))
    assert contents(_whole(data.at(chosen))) == [expected[window] for window in chosen]
    both = data.at(chosen).followed_by(data)
    assert contents(_whole(both)) == [expected[window] for window in chosen] + expected


def _whole(data):
    return StepWindows(data.items, data.windows)


SIZES = [[40], [40, 37, 51, 3], [5, 2, 1, 90, 4, 4, 4, 4, 0, 30], [3, 3, 3]]


@pytest.mark.parametrize("sizes", SIZES)
def test_blocks_lose_no_window_and_only_one_step_is_short(sizes):
    blocks = [held(np.full(size, 4), seed=seed) if size else empty() for seed, size in enumerate(sizes)]
    steps = list(block_steps(blocks, batch_size=8, seed=0, epoch=0))
    short, *others = sorted(len(step.windows.begin) for step in steps)
    assert short == (sum(sizes) - 1) % 8 + 1
    assert others == [8] * (num_steps(sum(sizes), batch_size=8) - 1)
    found = sorted(content for step in steps for content in contents(step))
    assert found == sorted(content for block in blocks for content in contents(_whole(block)))


@pytest.mark.parametrize("sizes", SIZES)
def test_an_epoch_goes_on_at_any_step_as_if_it_had_begun_there(sizes):
    blocks = [held(np.full(size, 4), seed=seed) if size else empty() for seed, size in enumerate(sizes)]
    steps = [contents(step) for step in block_steps(blocks, batch_size=8, seed=0, epoch=0)]
    for first in range(len(steps) + 1):
        again = block_steps(blocks, batch_size=8, seed=0, epoch=0, first=first, sizes=sizes)
        assert [contents(step) for step in again] == steps[first:]


class Counted:
    """Blocks that note which of them are read."""

    def __init__(self, blocks):
        self.blocks, self.read = blocks, []

    def __len__(self):
        return len(self.blocks)

    def __getitem__(self, number):
        self.read.append(number)
        return self.blocks[number]


def test_blocks_that_lie_before_the_first_step_are_not_read():
    blocks = Counted([held(np.full(80, 4), seed=seed) for seed in range(6)])
    list(block_steps(blocks, batch_size=8, seed=0, epoch=0, first=35, sizes=[80] * 6))
    assert blocks.read == [3, 4, 5]
    blocks = Counted([held(np.full(81, 4), seed=seed) for seed in range(6)])
    list(block_steps(blocks, batch_size=8, seed=0, epoch=0, first=35, sizes=[81] * 6))
    assert blocks.read == [2, 3, 4, 5]  # windows of block 2 are left over


def empty():
    none = np.zeros(0, dtype=np.int64)
    return HeldWindows(np.zeros(0, dtype=np.int32), sequence_windows(none, none, max_items=5))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(DataError, match="no user has two interactions"):
        require_windows(empty())
