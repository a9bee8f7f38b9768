from itertools import chain

import numpy as np
import pytest

from genrec.data import prepared as prepared_module
from genrec.data.batches import prefix_windows, sequence_windows
from genrec.data.catalogue import Catalogue
from genrec.data.epochs import HeldWindows
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, write_prepared
from genrec.data.sequence_file import SequenceFile, StoredWindows, count_cases
from genrec.data.splits import Splits, leave_one_out, sampled_numbers, test_cases, validation_cases
from genrec.errors import ArtifactError

GROUP = 2048  # users; no smaller row group is written


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Five row groups, and what is in them."""
    monkeypatch.setattr(prepared_module, "_ROWS_PER_GROUP", GROUP)
    random = np.random.default_rng(0)
    lengths = random.integers(1, 12, size=4 * GROUP + 100)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    item_ids = np.array([f"i{i:03d}" for i in range(300)])
    users = np.array([f"u{i:06d}" for i in range(len(lengths))])
    interactions = Interactions(users, item_ids, offsets, random.integers(300, size=offsets[-1]).astype(np.int32))
    splits = leave_one_out(interactions)
    write_prepared(Prepared(Catalogue(item_ids, {}), interactions, splits, {}), tmp_path)
    return SequenceFile(tmp_path / "sequences.parquet", item_ids), interactions, splits


def make_by(function, max_items=5):
    return lambda begins, ends: function(begins, ends, max_items=max_items)


def contents(step):
    windows = step.windows
    return [
        (user, tuple(step.items[begin : end + 1]))
        for user, begin, end in zip(windows.users.tolist(), windows.begin, windows.end, strict=True)
    ]


@pytest.mark.parametrize("function", [sequence_windows, prefix_windows])
def test_what_fits_into_memory_is_trained_in_the_order_of_data_in_memory(written, function):
    file, interactions, splits = written
    make = make_by(function)
    held = HeldWindows(interactions.items, make(interactions.offsets[:-1], splits.train_end))
    stored = StoredWindows(file, make)
    assert stored.num_windows == held.num_windows
    steps = zip(stored.steps(batch_size=256, seed=1, epoch=3), held.steps(batch_size=256, seed=1, epoch=3), strict=True)
    assert all(contents(ours) == contents(theirs) for ours, theirs in steps)
    assert stored.target_shares(300).tolist() == held.target_shares(300).tolist()


def test_more_than_fits_is_trained_a_block_at_a_time_each_window_once(written):
    file, interactions, splits = written
    make = make_by(sequence_windows)
    stored = StoredWindows(file, make, interactions_per_block=20_000)
    steps = [contents(step) for step in stored.steps(batch_size=64, seed=1, epoch=0)]
    held = HeldWindows(interactions.items, make(interactions.offsets[:-1], splits.train_end))
    everything = [content for step in held.steps(batch_size=64, seed=0, epoch=0) for content in contents(step)]
    assert sorted(chain.from_iterable(steps)) == sorted(everything)
    of_first = {user // GROUP for step in steps[: len(steps) // 3] for user, _ in step}
    assert 1 <= len(of_first) < 5  # of five row groups
    assert steps != [contents(step) for step in stored.steps(batch_size=64, seed=1, epoch=1)]
    for first in (1, len(steps) // 2, len(steps) - 1):
        again = stored.steps(batch_size=64, seed=1, epoch=0, first=first)
        assert [contents(step) for step in again] == steps[first:]
    assert stored.target_shares(300).tolist() == held.target_shares(300).tolist()


@pytest.mark.parametrize("at_most", [100, 100_000])
def test_the_validation_sample_is_that_of_all_the_data(written, at_most):
    file, interactions, splits = written
    sample = file.validation_sample(at_most=at_most, seed=5)
    cases = validation_cases(interactions, splits)
    cases = cases.at(sampled_numbers(len(cases.ends), at_most=at_most, seed=5))
    assert sample.interactions.user_ids.tolist() == interactions.user_ids[cases.users].tolist()
    for place, (user, end) in enumerate(zip(cases.users, cases.ends, strict=True)):
        assert (
            sample.interactions.of(place).tolist() == interactions.items[interactions.offsets[user] : end + 1].tolist()
        )
        assert sample.cases.ends[place] == sample.interactions.offsets[place + 1] - 1


def test_cases_are_counted_without_reading_the_sequences(written):
    file, interactions, splits = written
    counts = count_cases(file.path)
    assert counts.validation == len(validation_cases(interactions, splits).ends)
    assert counts.test == len(test_cases(interactions, splits).ends)


def test_cases_need_a_history(tmp_path):
    ids = np.array(["a", "b"])
    interactions = Interactions(np.array(["u", "v"]), ids, np.array([0, 2, 3]), np.array([0, 1, 1], dtype=np.int32))
    splits = Splits(train_end=np.array([0, 3]), validation_end=np.array([1, 3]))
    write_prepared(Prepared(Catalogue(ids, {}), interactions, splits, {}), tmp_path)
    assert count_cases(tmp_path / "sequences.parquet") == (0, 1)


def test_a_file_that_is_damaged_or_of_another_catalogue_is_refused(written, tmp_path):
    file, *_ = written
    with pytest.raises(ArtifactError, match=r"expected items in 0\.\.9, got"):
        next(
            StoredWindows(SequenceFile(file.path, file.item_ids[:10]), make_by(sequence_windows)).steps(
                batch_size=8, seed=0, epoch=0
            )
        )
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(file.path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"cut\.parquet is damaged"):
        SequenceFile(cut, file.item_ids)
    with pytest.raises(ArtifactError, match=r"none\.parquet is missing"):
        SequenceFile(tmp_path / "none.parquet", file.item_ids)
