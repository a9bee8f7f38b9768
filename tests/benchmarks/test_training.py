from itertools import islice

import numpy as np
import pytest

from benchmarks import training
from benchmarks.training import Way, in_batches, made_sequences, measured, median_ratio, spread_out, ways
from genrec.data.batches import StepWindows, Windows
from genrec.data.epochs import HeldWindows


def windows_of(begin, end):
    return Windows(np.array(begin), np.array(end), np.zeros(len(begin), dtype=np.int64), newest_only=False)


def in_steps(data, size):
    return [StepWindows(data.items, data.windows.at(slice(i, i + size))) for i in range(0, data.num_windows, size)]


def test_a_few_batches_in_a_row_are_from_everywhere():
    data = HeldWindows(np.arange(200), windows_of(range(100), range(1, 101)))
    taken = [int(batch.windows.begin[0]) for batch in islice(spread_out(in_steps(data, 1)), 10)]
    assert len(set(taken)) == 10 and all(any(low <= place < low + 20 for place in taken) for low in range(0, 100, 20))


def test_the_ratio_is_the_median_of_the_turns():
    assert median_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0


def test_batches_hold_each_window_once_and_only_whole_ones():
    data = HeldWindows(np.arange(20), windows_of(range(10), range(1, 11)))
    batches = in_batches(data, np.arange(10)[::-1], size=4)
    assert [batch.windows.begin.tolist() for batch in batches] == [[9, 8, 7, 6], [5, 4, 3, 2]]


def test_speeds_count_targets_and_not_windows(monkeypatch):
    monkeypatch.setattr(training, "seconds_of", lambda work: work() and 2.0)
    sequences = windows_of([0, 0], [3, 7])
    whole, rows = (StepWindows(np.arange(9), sequences._replace(newest_only=newest)) for newest in (False, True))
    compared = {name: Way(lambda _: None, [whole]) for name in ("ours", "small", "with_items")}
    compared |= {name: Way(lambda _: None, [rows]) for name in ("t5", "t5_sorted")}
    figures = measured(compared, turns=3, steps=4)
    assert figures["positions_per_second"] == 4 * 10 / 2 and figures["t5_positions_per_second"] == 4 * 2 / 2
    assert figures["ratio"] == figures["sorted_ratio"] == figures["with_items_ratio"] == 5.0


@pytest.mark.parametrize("name", ["ours", "small", "with_items", "t5", "t5_sorted"])
def test_every_way_learns(name):
    sequences = made_sequences(num_users=60, num_items=50)
    way = ways(sequences)[name]
    for _ in range(2):
        way.step(way.batches[0])
