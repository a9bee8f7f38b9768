import hashlib
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer import SemanticIDs

CODES = np.array([[1, 2], [0, 0], [1, 2], [1, 2], [3, 1]])
ITEM_IDS = ["pen", "ink", "cap", "tin", "mat"]


def plain_extra_codes(codes, item_ids):
    """Numbers the members of each group in the order of their hashes, with a dict of lists."""
    groups = defaultdict(list)
    for row, code in enumerate(codes):
        digest = hashlib.blake2b(item_ids[row].encode(), digest_size=8).digest()
        groups[tuple(code)].append((digest, item_ids[row], row))
    return {row: place for group in groups.values() for place, (_, _, row) in enumerate(sorted(group))}


def test_colliding_items_get_one_code_more_numbered_from_zero():
    ids = SemanticIDs.from_codes(CODES)
    assert ids.codes.tolist() == [[1, 2, 0], [0, 0, 0], [1, 2, 1], [1, 2, 2], [3, 1, 0]]
    assert ids.level_sizes == (4, 3, 3)
    assert ids.id_length == 3


def test_without_a_collision_there_is_no_extra_level():
    ids = SemanticIDs.from_codes(np.array([[0, 1], [1, 0]]), level_sizes=(4, 4))
    assert ids.codes.tolist() == [[0, 1], [1, 0]]
    assert ids.level_sizes == (4, 4)


def test_collisions_may_be_kept():
    ids = SemanticIDs.from_codes(CODES, collisions="keep")
    assert ids.codes.tolist() == CODES.tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20), st.randoms())
def test_every_item_has_an_id_of_its_own_and_the_order_of_arrival_does_not_matter(rows, random):
    item_ids = [f"item {number}" for number in range(len(rows))]
    ids = SemanticIDs.from_codes(np.array(rows), level_sizes=(3, 3), item_ids=item_ids)
    assert len({tuple(code) for code in ids.codes.tolist()}) == len(rows)
    if ids.id_length == 3:
        expected = plain_extra_codes(rows, item_ids)
        assert ids.codes[:, 2].tolist() == [expected[row] for row in range(len(rows))]
    order = random.sample(range(len(rows)), len(rows))
    shuffled = SemanticIDs.from_codes(np.array(rows)[order], level_sizes=(3, 3), item_ids=np.array(item_ids)[order])
    assert shuffled.codes.tolist() == ids.codes[order].tolist()
    assert shuffled.level_sizes == ids.level_sizes


@pytest.mark.parametrize(
    ("codes", "arguments", "message"),
    [
        ([[0, -1]], {}, "outside of their level"),
        ([[0, 4]], {"level_sizes": (4, 4)}, r"4 in row 0, level 1, where 0\.\.3 is expected"),
        ([[0, 1]], {"level_sizes": (4,)}, "do not fit codes of 2 levels"),
        ([[0], [1]], {"item_ids": ["a", "a"]}, "'a' comes more than once"),
        ([[0], [1]], {"item_ids": ["a"]}, "expected 2 item_ids"),
    ],
)
def test_what_cannot_be_a_table_is_refused(codes, arguments, message):
    with pytest.raises(ValueError, match=message):
        SemanticIDs.from_codes(np.array(codes), **arguments)


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="at least one item"):
        SemanticIDs.from_codes(np.zeros((0, 3), dtype=np.int64))


def test_the_fingerprint_changes_with_codes_level_sizes_and_item_ids():
    tables = [
        SemanticIDs.from_codes(CODES),
        SemanticIDs.from_codes(CODES[::-1]),
        SemanticIDs.from_codes(CODES, level_sizes=(5, 5)),
        SemanticIDs.from_codes(CODES, item_ids=ITEM_IDS),
        SemanticIDs.from_codes(CODES, item_ids=["pe", "nink", "cap", "tin", "mat"], collisions="keep"),
        SemanticIDs.from_codes(CODES, item_ids=ITEM_IDS, collisions="keep"),
    ]
    assert len({ids.fingerprint for ids in tables}) == len(tables)
    assert SemanticIDs.from_codes(CODES.astype(np.int16)).fingerprint == tables[0].fingerprint


@pytest.mark.parametrize("item_ids", [None, ["pen", "ink", "ca\u00fcp", "tin", ""]])
def test_a_saved_table_comes_back_equal(tmp_path, item_ids):
    ids = SemanticIDs.from_codes(CODES, item_ids=item_ids)
    ids.save(tmp_path / "semantic_ids.npz")
    loaded = SemanticIDs.load(tmp_path / "semantic_ids.npz")
    assert loaded.fingerprint == ids.fingerprint
    assert loaded.level_sizes == ids.level_sizes
    assert (loaded.item_ids is None) == (item_ids is None)
    assert [path.name for path in tmp_path.iterdir()] == ["semantic_ids.npz"]


def test_the_same_table_makes_the_same_file(tmp_path):
    for name in ("a.npz", "b.npz"):
        SemanticIDs.from_codes(CODES, item_ids=ITEM_IDS).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"ids\.npz is missing"):
        SemanticIDs.load(tmp_path / "ids.npz")


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    ids = SemanticIDs.from_codes(CODES, item_ids=ITEM_IDS)
    path = tmp_path / "ids.npz"
    ids.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"ids\.npz"):
            SemanticIDs.load(path)


@pytest.mark.parametrize("length", [0, 10, 500])
def test_a_cut_file_is_refused_by_name(tmp_path, length):
    path = tmp_path / "ids.npz"
    SemanticIDs.from_codes(CODES).save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"ids\.npz is not a whole file"):
        SemanticIDs.load(path)
