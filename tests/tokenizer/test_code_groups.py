"""Rows with codes in common, and the order in which they are served."""

import hashlib
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.code_groups import group_numbers, in_hash_order, places_in_groups, whole_groups


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_groups_are_numbered_in_the_order_of_their_codes(rows):
    groups = group_numbers(np.array(rows, dtype=np.int64).reshape(-1, 2))
    assert groups.tolist() == [sorted(set(rows)).index(row) for row in rows]


@given(st.lists(st.integers(0, 5), max_size=12))
def test_a_place_counts_the_rows_of_the_group_before(groups):
    expected = [groups[:row].count(group) for row, group in enumerate(groups)]
    assert places_in_groups(np.array(groups, dtype=np.int64)).tolist() == expected


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 8))
def test_stretches_of_whole_groups_cut_none_and_are_as_long_as_they_may(groups, max_rows):
    groups = sorted(groups)
    stretches = [groups[part] for part in whole_groups(np.array(groups, dtype=np.int64), max_rows=max_rows)]
    assert [group for stretch in stretches for group in stretch] == groups
    for stretch, following in pairwise(stretches):
        assert stretch[-1] != following[0]
        assert len(stretch) + following.count(following[0]) > max_rows
    assert all(len(stretch) <= max_rows or len(set(stretch)) == 1 for stretch in stretches)


def test_rows_come_by_the_hash_of_their_item_id():
    item_ids = np.array(["pen", "ink", "c\u00e4p", "tin", "mat", ""])
    expected = sorted([0, 2, 3, 5], key=lambda row: hashlib.blake2b(item_ids[row].encode(), digest_size=8).digest())
    assert in_hash_order(np.array([5, 3, 0, 2]), item_ids).tolist() == expected
    assert in_hash_order(np.array([5, 3, 0, 2]), None).tolist() == [0, 2, 3, 5]
