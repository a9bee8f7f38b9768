import numpy as np
import pytest

from genrec.data.batches import (
    StepWindows,
    history_batch,
    padded_ranges,
    prefix_windows,
    sequence_windows,
    window_batch,
)
from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out


def interactions_of(lengths, num_items=1000):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.arange(offsets[-1], dtype=np.int32) % num_items
    users = np.array([f"u{i}" for i in range(len(lengths))])
    return Interactions(users, np.array([f"i{i}" for i in range(num_items)]), offsets, items)


def trained_positions(windows):
    return sorted(
        target
        for begin, end in zip(windows.begin, windows.end, strict=True)
        for target in ([end] if windows.newest_only else range(begin + 1, end + 1))
    )


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
@pytest.mark.parametrize("max_items", [1, 2, 3, 50])
def test_every_training_target_is_visited_exactly_once(make, max_items):
    interactions = interactions_of([1, 2, 3, 4, 9, 30])
    splits = leave_one_out(interactions)
    windows = make(interactions.offsets[:-1], splits.train_end, max_items=max_items)
    expected = sorted(
        position
        for first, end in zip(interactions.offsets[:-1], splits.train_end, strict=True)
        for position in range(first + 1, end)
    )
    assert trained_positions(windows) == expected
    assert (windows.end - windows.begin <= max_items).all()


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
def test_a_window_knows_its_user(make):
    interactions = interactions_of([1, 2, 3, 4, 9, 30])
    windows = make(interactions.offsets[:-1], leave_one_out(interactions).train_end, max_items=4)
    assert all(interactions.offsets[user] <= begin for user, begin in zip(windows.users, windows.begin, strict=True))
    assert all(end < interactions.offsets[user + 1] for user, end in zip(windows.users, windows.end, strict=True))


def test_no_window_reads_or_predicts_a_held_out_item():
    interactions = interactions_of([5, 8])
    splits = leave_one_out(interactions)
    for windows in (
        f(interactions.offsets[:-1], splits.train_end, max_items=3) for f in (sequence_windows, prefix_windows)
    ):
        held_out = {3, 4, 11, 12}
        assert not held_out & set(trained_positions(windows))


def training_part(lengths):
    interactions = interactions_of(lengths)
    return interactions.items, interactions.offsets[:-1], leave_one_out(interactions).train_end


def test_targets_follow_their_history():
    items, *parts = training_part([6])
    batch = window_batch(items, sequence_windows(*parts, max_items=10))
    assert batch.history.tolist() == [[0, 1, 2]]
    assert batch.targets.tolist() == [[1, 2, 3]]
    windows = prefix_windows(*parts, max_items=10)
    batch = window_batch(items, windows)
    assert batch.history.tolist() == [[0, -1, -1], [0, 1, -1], [0, 1, 2]]
    assert batch.targets.tolist() == [[1], [2], [3]]
    assert StepWindows(items, windows).num_targets == 3


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
@pytest.mark.parametrize("num_parts", [1, 2, 3, 40])
def test_the_parts_of_a_step_have_each_of_its_targets_once(make, num_parts):
    items, *parts = training_part([5, 9, 4, 12, 7])
    step = StepWindows(items, make(*parts, max_items=4))
    found = {}
    for number in range(num_parts):
        part = step.part(number, num_parts)
        targets = part.batch.targets[part.batch.targets >= 0].tolist()
        assert len(targets) == len(part.places)
        found |= dict(zip(part.places.tolist(), targets, strict=True))
    assert [found[place] for place in range(step.num_targets)] == step.targets.tolist()


def test_padding_stands_at_the_end():
    items = np.array([4, 5, 6, 7], dtype=np.int32)
    assert padded_ranges(items, np.array([0, 3]), np.array([2, 4])).tolist() == [[4, 5], [7, -1]]


def test_a_long_history_keeps_its_newest_items():
    batch = history_batch([np.array([1, 2, 3]), np.array([9])], max_items=2)
    assert batch.tolist() == [[2, 3], [9, -1]]
