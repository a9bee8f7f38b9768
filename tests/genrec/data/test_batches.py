import numpy as np
import pytest

from genrec.data.batches import (
    epoch_order,
    history_batch,
    num_batches,
    padded_ranges,
    prefix_windows,
    sequence_windows,
    target_shares,
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
    windows = make(interactions, splits, max_items=max_items)
    expected = sorted(
        position
        for first, end in zip(interactions.offsets[:-1], splits.train_end, strict=True)
        for position in range(first + 1, end)
    )
    assert trained_positions(windows) == expected
    assert (windows.end - windows.begin <= max_items).all()


@pytest.mark.parametrize("make", [sequence_windows, prefix_windows])
def test_shares_of_targets_count_every_trained_position(make):
    interactions = interactions_of([1, 2, 3, 4, 9, 30], num_items=7)
    windows = make(interactions, leave_one_out(interactions), max_items=4)
    targets = interactions.items[trained_positions(windows)]
    expected = [(targets == item).sum() / len(targets) for item in range(7)]
    assert target_shares(interactions.items, windows, num_items=7).tolist() == pytest.approx(expected)


def test_no_window_reads_or_predicts_a_held_out_item():
    interactions = interactions_of([5, 8])
    splits = leave_one_out(interactions)
    for windows in (f(interactions, splits, max_items=3) for f in (sequence_windows, prefix_windows)):
        held_out = {3, 4, 11, 12}
        assert not held_out & set(trained_positions(windows))


def test_an_epoch_visits_every_window_once_and_follows_from_seed_and_epoch():
    windows = sequence_windows(*with_splits([7] * 100), max_items=5)
    order = list(epoch_order(windows, batch_size=16, seed=1, epoch=0))
    assert sorted(np.concatenate(order).tolist()) == list(range(len(windows.begin)))
    assert len(order) == num_batches(windows, batch_size=16)
    again = list(epoch_order(windows, batch_size=16, seed=1, epoch=0))
    assert all(np.array_equal(a, b) for a, b in zip(order, again, strict=True))
    other = np.concatenate(list(epoch_order(windows, batch_size=16, seed=1, epoch=1)))
    assert not np.array_equal(np.concatenate(order), other)


def with_splits(lengths):
    interactions = interactions_of(lengths)
    return interactions, leave_one_out(interactions)


def test_windows_of_a_batch_have_similar_lengths():
    interactions, splits = with_splits(list(range(4, 44)) * 40)
    windows = sequence_windows(interactions, splits, max_items=50)
    lengths = windows.end - windows.begin
    spread = [np.ptp(lengths[chosen]) for chosen in epoch_order(windows, batch_size=16, seed=0, epoch=0)]
    assert np.mean(spread) < 5


def test_targets_follow_their_history():
    interactions, splits = with_splits([6])
    windows = sequence_windows(interactions, splits, max_items=10)
    batch = window_batch(interactions.items, windows, np.array([0]))
    assert batch.history.tolist() == [[0, 1, 2]]
    assert batch.targets.tolist() == [[1, 2, 3]]
    windows = prefix_windows(interactions, splits, max_items=10)
    batch = window_batch(interactions.items, windows, np.arange(3))
    assert batch.history.tolist() == [[0, -1, -1], [0, 1, -1], [0, 1, 2]]
    assert batch.targets.tolist() == [[1], [2], [3]]
    assert windows.num_targets(np.arange(3)) == 3


def test_padding_stands_at_the_end():
    items = np.array([4, 5, 6, 7], dtype=np.int32)
    assert padded_ranges(items, np.array([0, 3]), np.array([2, 4])).tolist() == [[4, 5], [7, -1]]


def test_a_long_history_keeps_its_newest_items():
    batch = history_batch([np.array([1, 2, 3]), np.array([9])], max_items=2)
    assert batch.tolist() == [[2, 3], [9, -1]]
