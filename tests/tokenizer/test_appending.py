"""New items behind the old ones: old IDs and level sizes stay, new ones are free where there is room."""

import hashlib
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer import SemanticIDs

# two items on (0, 1) and one on (0, 2), so that there is an extra level of two codes
TABLE = SemanticIDs.from_codes(np.array([[0, 1], [0, 1], [0, 2]]), level_sizes=(2, 4), item_ids=["pen", "ink", "cap"])
PLAIN = SemanticIDs.from_codes(np.array([[0, 1], [0, 2]]), level_sizes=(2, 4), item_ids=["pen", "cap"])


def plain_append(table, codes, item_ids, distances):
    """Looks through all leaves of the prefix for each item."""
    levels, sizes = codes.shape[1], table.level_sizes
    extras = range(sizes[levels]) if levels < len(sizes) else [None]
    holders = Counter(map(tuple, table.codes.tolist()))
    rows = sorted(range(len(codes)), key=lambda row: (hashlib.blake2b(item_ids[row].encode(), digest_size=8).digest(),))
    given_ids = {}

    def leaf(row, code, extra):
        return (*codes[row, :-1].tolist(), int(code)) + (() if extra is None else (extra,))

    def give(row, chosen):
        given_ids[row] = chosen
        holders[chosen] += 1

    for row in rows:
        free = [own for extra in extras if not holders[own := leaf(row, codes[row, -1], extra)]]
        if free:
            give(row, free[0])
    for row in rows:
        if row in given_ids:
            continue
        free = [
            (extra or 0, distances[row, code], code, leaf(row, code, extra))
            for code, extra in product(range(sizes[levels - 1]), extras)
            if not holders[leaf(row, code, extra)]
        ]
        own = [leaf(row, codes[row, -1], extra) for extra in extras]
        give(row, min(free)[-1] if free else min(own, key=lambda shared: holders[shared]))
    return [list(given_ids[row]) for row in range(len(codes))]


some_codes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=14)


@settings(max_examples=100, deadline=None)
@given(some_codes, some_codes, st.sampled_from(["extra_code", "keep"]), st.booleans(), st.randoms())
def test_append_gives_what_a_search_through_all_leaves_gives_in_any_order(old, new, collisions, measured, random):
    table = SemanticIDs.from_codes(
        np.array(old), level_sizes=(2, 3), item_ids=[f"old {row}" for row in range(len(old))], collisions=collisions
    )
    codes, item_ids = np.array(new), np.array([f"new {row}" for row in range(len(new))])
    distances = np.array([[random.randint(0, 3) for _ in range(3)] for _ in new], dtype=np.float64)
    appended = table.append(codes, item_ids, last_level_distances=(lambda rows: distances[rows]) if measured else None)
    assert appended.codes[: len(old)].tolist() == table.codes.tolist()
    assert appended.level_sizes == table.level_sizes
    assert appended.item_ids.tolist() == [*table.item_ids.tolist(), *item_ids.tolist()]
    expected = plain_append(table, codes, item_ids.tolist(), distances if measured else np.zeros_like(distances))
    assert appended.codes[len(old) :].tolist() == expected

    order = np.array(random.sample(range(len(new)), len(new)))
    shuffled = table.append(
        codes[order],
        item_ids[order],
        last_level_distances=(lambda rows: distances[order[rows]]) if measured else None,
    )
    assert shuffled.codes[len(old) :].tolist() == np.array(expected)[order].tolist()


def test_an_item_with_codes_that_nobody_has_keeps_them():
    assert TABLE.append(np.array([[1, 3]]), ["tin"]).codes[3].tolist() == [1, 3, 0]
    assert PLAIN.append(np.array([[1, 3]]), ["tin"]).codes[2].tolist() == [1, 3]


def test_an_item_on_a_taken_code_gets_the_lowest_free_extra_code():
    assert TABLE.append(np.array([[0, 2]]), ["tin"]).codes[3].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("table", "distances", "expected"),
    [
        (TABLE, None, [0, 0, 0]),  # both extra codes of (0, 1) are taken; the lowest code with extra code 0 free
        (TABLE, [[9.0, 0, 1, 8]], [0, 3, 0]),  # code 2 is nearest but only its extra code 1 is free
        (PLAIN, None, [0, 0]),
        (PLAIN, [[9.0, 0, 1, 8]], [0, 3]),
    ],
)
def test_without_a_free_extra_code_the_nearest_free_last_code_is_taken(table, distances, expected):
    measured = None if distances is None else (lambda rows: np.array(distances)[rows])
    appended = table.append(np.array([[0, 1]]), ["tin"], last_level_distances=measured)
    assert appended.codes[-1].tolist() == expected
    assert appended.num_sharing == 0


def test_under_a_full_prefix_items_share_the_ids_of_their_codes_evenly_and_none_is_lost():
    appended = TABLE.append(np.array([[0, 1]] * 9), [f"new {row}" for row in range(9)])
    # 8 IDs under the prefix, 3 taken: five items get one, four share (0, 1, 0) and (0, 1, 1), two each
    assert len(appended) == 12
    assert sorted(Counter(map(tuple, appended.codes.tolist())).values()) == [1, 1, 1, 1, 1, 1, 3, 3]
    assert appended.codes.tolist().count([0, 1, 0]) == appended.codes.tolist().count([0, 1, 1]) == 3
    assert appended.num_sharing == 6
    assert appended.level_sizes == (2, 4, 2)


def test_items_that_have_free_codes_get_them_before_others_look_around():
    # tin's code is taken and 0 is the nearest to spare, but box comes with it
    distances = np.array([[1.0, 0, 2, 3], [0, 1, 2, 3]])
    appended = PLAIN.append(
        np.array([[0, 1], [0, 0]]), ["tin", "box"], last_level_distances=lambda rows: distances[rows]
    )
    assert appended.codes[2:].tolist() == [[0, 3], [0, 0]]


def test_keep_shares_with_extra_code_0():
    appended = TABLE.append(np.array([[0, 1], [1, 1]]), ["tin", "box"], collisions="keep")
    assert appended.codes[3:].tolist() == [[0, 1, 0], [1, 1, 0]]
    assert appended.num_sharing == 2
    assert PLAIN.append(np.array([[0, 1]]), ["tin"], collisions="keep").codes[2].tolist() == [0, 1]


def test_a_table_may_be_appended_to_again_and_nothing_appended_changes_nothing():
    twice = PLAIN.append(np.array([[0, 1]]), ["tin"]).append(np.array([[0, 1]]), ["a longer id"])
    assert twice.codes.tolist() == [[0, 1], [0, 2], [0, 0], [0, 3]]
    assert twice.item_ids is not None and twice.item_ids.tolist() == ["pen", "cap", "tin", "a longer id"]
    assert PLAIN.append(np.zeros((0, 2), dtype=int), []).fingerprint == PLAIN.fingerprint


@pytest.mark.parametrize(
    ("codes", "item_ids", "message"),
    [
        ([[0, 1], [1, 1]], ["tin", "pen"], "1 item_ids are in the table already .*'pen'"),
        ([[0, 1], [1, 1]], ["tin", "tin"], "'tin' comes more than once"),
        ([[0, 1]], ["tin", "box"], "expected 1 item_ids"),
        ([[0, 4]], ["tin"], r"4 in row 0, level 1, where 0\.\.3 is expected"),
        ([[0, -1]], ["tin"], "outside of their level"),
        ([[0, 1, 1, 1]], ["tin"], r"codes of 3 levels \(one less .* got shape \(1, 4\)"),
        ([[0]], ["tin"], r"got shape \(1, 1\)"),
    ],
)
def test_what_cannot_be_appended_is_refused(codes, item_ids, message):
    with pytest.raises(ValueError, match=message):
        TABLE.append(np.array(codes), item_ids)


def test_a_table_without_item_ids_cannot_grow():
    with pytest.raises(ValueError, match="has no item_ids"):
        SemanticIDs.from_codes(np.array([[0, 1]])).append(np.array([[0, 0]]), ["tin"])


def test_distances_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"of shape \(1, 4\) .* but got \(1, 3\)"):
        PLAIN.append(np.array([[0, 1]]), ["tin"], last_level_distances=lambda rows: np.zeros((1, 3)))
