from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrec.data.preparation import by_user_and_time, consecutive_repeats, k_core, later_repeats, prepare
from genrec.data.sources import DataConfig
from genrec.errors import DataError

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


def arrays(pairs):
    return tuple(np.array(column, dtype=np.int32) for column in zip(*pairs, strict=True))


def plain_k_core(pairs, k):
    """Strike out whoever has too few, again and again."""
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        kept = [pair for pair in pairs if users[pair[0]] >= k and items[pair[1]] >= k]
        if len(kept) == len(pairs):
            return kept
        pairs = kept


@given(PAIRS, st.integers(1, 4))
def test_the_k_core_is_what_striking_out_again_and_again_leaves(pairs, k):
    mask = k_core(*arrays(pairs), k)
    assert [pair for pair, kept in zip(pairs, mask, strict=True) if kept] == plain_k_core(pairs, k)


def test_the_k_core_is_a_fixed_point_and_not_one_pass():
    # item 2 falls first, then user 1, who has one item less, then item 1
    pairs = [(0, 0), (0, 0), (1, 0), (1, 1), (2, 1), (2, 2)]
    assert k_core(*arrays(pairs), 2).tolist() == [True, True, False, False, False, False]


@given(PAIRS)
def test_rows_are_ordered_as_pythons_stable_sort_orders_them(pairs):
    users, times = arrays(pairs)
    rows = sorted(range(len(pairs)), key=lambda row: pairs[row])
    assert by_user_and_time(users, times.astype(np.int64)).tolist() == rows
    assert by_user_and_time(users, None).tolist() == sorted(range(len(pairs)), key=lambda row: pairs[row][0])


@given(PAIRS)
def test_a_later_repeat_is_a_pair_that_was_seen(pairs):
    seen, repeated = set(), []
    for pair in pairs:
        repeated.append(pair in seen)
        seen.add(pair)
    assert later_repeats(*arrays(pairs)).tolist() == repeated


def test_only_neighbours_are_consecutive_repeats():
    assert consecutive_repeats(*arrays([(0, 1), (0, 1), (0, 2), (0, 1), (1, 1)])).tolist() == [0, 1, 0, 0, 0]


def read(folder, rows, **options):
    (folder / "log.csv").write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in rows))
    return prepare(DataConfig(format="table", interactions="log.csv", **options), data_dir=folder, seed=0)


@pytest.mark.parametrize(
    ("repeats", "sequence", "dropped"),
    [("keep", "aabac", None), ("drop_consecutive", "abac", 1), ("first_only", "abc", 2)],
)
def test_repeats_stay_unless_the_config_drops_them(tmp_path, repeats, sequence, dropped):
    prepared = read(tmp_path, [("u", item) for item in "aabac"], repeats=repeats)
    table = prepared.interactions
    assert "".join(table.item_ids[table.of(0)]) == sequence
    assert prepared.report["dropped"].get("repeats") == dropped


def test_the_k_core_drops_users_and_items_and_counts_them(tmp_path):
    rows = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "c")]
    prepared = read(tmp_path, rows, k_core=2)
    assert prepared.interactions.user_ids.tolist() == ["u", "v"]
    assert set(prepared.catalogue.item_ids.tolist()) == {"a", "b"}
    assert prepared.report["dropped"]["k_core"] == 1


def test_nothing_left_is_an_error_that_says_what_was_dropped(tmp_path):
    with pytest.raises(DataError, match=r"no interaction is left; dropped: k_core 2.*data\.k_core"):
        read(tmp_path, [("u", "a"), ("v", "b")], k_core=2)


def test_the_order_of_users_in_the_file_changes_nothing(tmp_path):
    rows = [("u", "a"), ("u", "b"), ("v", "b"), ("v", "c")]
    first, second = read(tmp_path, rows), read(tmp_path, rows[2:] + rows[:2])
    assert first.interactions.items.tolist() == second.interactions.items.tolist()
    assert first.catalogue.item_ids.tolist() == second.catalogue.item_ids.tolist()


def test_the_split_is_counted_in_the_report(tmp_path):
    prepared = read(tmp_path, [("u", item) for item in "abcde"] + [("v", "a")])
    assert prepared.report["split"] == {"train": 4, "validation": 1, "test": 1}


def test_a_split_by_global_time_reads_the_cuts_of_the_config(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,a,1\nu,b,5\nu,c,9\n")
    cuts = {"split": "global_time", "validation_from_unix_s": 5, "test_from_unix_s": 9}
    config = DataConfig(format="table", interactions="log.csv", **cuts)
    splits = prepare(config, data_dir=tmp_path, seed=0).splits
    assert (splits.train_end.tolist(), splits.validation_end.tolist()) == ([1], [2])
