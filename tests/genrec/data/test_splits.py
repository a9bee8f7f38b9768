import numpy as np
import pytest

from genrec.data import splits
from genrec.data.interactions import Interactions
from genrec.errors import DataError


def sequences(*lengths, times=None):
    total = sum(lengths)
    return Interactions(
        np.array([f"user {n}" for n in range(len(lengths))]),
        np.array(["x"]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.zeros(total, dtype=np.int32),
        None if times is None else np.array(times, dtype=np.int64),
    )


def test_leave_one_out_tests_the_last_item_and_validates_the_one_before():
    split = splits.leave_one_out(sequences(5, 3))
    assert split.train_end.tolist() == [3, 6]
    assert split.validation_end.tolist() == [4, 7]


def test_leave_one_out_only_trains_users_with_fewer_than_three_interactions():
    table = sequences(1, 2, 3)
    split = splits.leave_one_out(table)
    assert split.train_end.tolist() == [1, 3, 4]
    assert split.validation_end.tolist() == [1, 3, 5]
    assert splits.validation_cases(table, split).users.tolist() == [2]
    assert splits.test_cases(table, split).users.tolist() == [2]


def test_a_leave_one_out_case_ends_right_before_its_target():
    table = sequences(5, 3)
    split = splits.leave_one_out(table)
    assert splits.validation_cases(table, split).ends.tolist() == [3, 6]
    assert splits.test_cases(table, split).ends.tolist() == [4, 7]


def test_global_time_puts_an_interaction_at_the_cut_behind_it():
    table = sequences(4, 2, times=[10, 20, 20, 30, 5, 30])
    split = splits.global_time(table, validation_from_unix_s=20, test_from_unix_s=30)
    assert split.train_end.tolist() == [1, 5]
    assert split.validation_end.tolist() == [3, 5]


def test_global_time_agrees_with_counting_user_by_user():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, size=30).tolist()
    times = np.concatenate([np.sort(rng.integers(0, 100, size=length)) for length in lengths])
    table = sequences(*lengths, times=times)
    split = splits.global_time(table, validation_from_unix_s=50, test_from_unix_s=80)
    for user, (begin, end) in enumerate(zip(table.offsets[:-1], table.offsets[1:], strict=True)):
        assert split.train_end[user] == begin + sum(times[begin:end] < 50)
        assert split.validation_end[user] == begin + sum(times[begin:end] < 80)


def test_users_without_a_history_before_the_cut_have_no_case():
    table = sequences(2, 2, times=[25, 31, 5, 31])
    split = splits.global_time(table, validation_from_unix_s=20, test_from_unix_s=30)
    assert splits.validation_cases(table, split).users.tolist() == []
    assert splits.test_cases(table, split).users.tolist() == [0, 1]
    assert splits.test_cases(table, split).ends.tolist() == [1, 3]


def test_global_time_without_times_says_what_to_do():
    with pytest.raises(DataError, match=r"data\.columns\.time"):
        splits.global_time(sequences(3), validation_from_unix_s=1, test_from_unix_s=2)


def test_a_validation_after_the_test_is_refused():
    with pytest.raises(ValueError, match="before the test"):
        splits.global_time(sequences(1, times=[1]), validation_from_unix_s=3, test_from_unix_s=2)
