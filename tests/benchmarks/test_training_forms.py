import numpy as np
import pytest

from benchmarks.training import made_sequences
from benchmarks.training_forms import forms, padding_of, padding_of_rows
from genrec.data.batches import StepWindows, Windows


def test_padding_is_the_share_of_places_without_an_item():
    windows = Windows(np.zeros(3, dtype=int), np.array([1, 2, 5]), np.zeros(3, dtype=int), newest_only=True)
    batches = [StepWindows(np.arange(9), windows.at(slice(0, 2))), StepWindows(np.arange(9), windows.at(slice(2, 3)))]
    assert padding_of(batches) == pytest.approx(1 / 9)


def test_windows_by_chance_and_rows_by_chance_are_padded_more():
    sequences = made_sequences(num_users=400, num_items=50)
    compared = forms(sequences)
    assert padding_of(compared["default"].batches) < padding_of(compared["not grouped by length"].batches)
    rows = padding_of_rows(sequences)
    assert rows["t5_sorted, one row per prefix"] < rows["t5, one row per prefix"]


@pytest.mark.parametrize("name", ["default", "bf16", "not grouped by length"])  # compiling takes a minute
def test_every_form_takes_steps(name):
    way = forms(made_sequences(num_users=60, num_items=50))[name]
    for _ in range(2):
        way.step(way.batches[0])
