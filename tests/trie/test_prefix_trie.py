from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import PrefixTrie
from trie.files import named_arrays
from trie.sorted_rows import BLOCK, sort_rows

SIZES = [(3, 3, 3), (2, 300, 5), (70000, 4, 2), (1, 1, 1), (2**20, 2**20, 2**20), (2**31, 2**31, 2**31), (7,)]


@st.composite
def catalogues(draw):
    sizes = draw(st.sampled_from(SIZES))
    num_rows = draw(st.integers(1, 30))
    picks = [draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4)) for size in sizes]
    rows = [[draw(st.sampled_from(pick)) for pick in picks] for _ in range(num_rows)]
    return np.array(rows), sizes


def prefixes(codes: np.ndarray) -> dict[tuple[int, ...], list[int]]:
    """The plain twin: a dict from every prefix to the rows that begin so."""
    below = {}
    for row, code in enumerate(codes.tolist()):
        for depth in range(len(code) + 1):
            below.setdefault(tuple(code[:depth]), []).append(row)
    return below


@given(catalogues())
@settings(max_examples=50, deadline=None)
def test_trie_knows_the_same_as_a_dict_of_prefixes(catalogue):
    codes, sizes = catalogue
    trie, below = PrefixTrie.from_codes(codes, level_sizes=sizes), prefixes(codes)
    length = codes.shape[1]
    for prefix, rows in below.items():
        assert sorted(trie.rows(prefix).tolist()) == rows
        followers = sorted({longer[-1] for longer in below if longer[:-1] == prefix and len(longer) == len(prefix) + 1})
        assert trie.children(prefix).tolist() == followers
    per_depth = Counter(map(len, below))
    assert trie.num_nodes == tuple(per_depth[depth] for depth in range(1, length + 1))
    widest = [max(len(trie.children(p)) for p in below if len(p) == level) for level in range(length)]
    assert trie.fanout == tuple(widest)
    absent = (codes[0, 0], *[(code + 1) % size for code, size in zip(codes[0, 1:], sizes[1:], strict=True)])
    assert sorted(trie.rows(absent).tolist()) == below.get(tuple(int(code) for code in absent), [])


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (8, np.int64), (13, np.int16), (14, np.uint64), (31, int)])
@pytest.mark.parametrize("distinct", [3, 10_000])
@pytest.mark.parametrize("num_rows", [500, BLOCK + 1])  # with 14 bits a code, and the second number, a key has no room
def test_rows_are_sorted_by_codes_then_by_row_whatever_the_key_width(bits, dtype, distinct, num_rows):
    random = np.random.default_rng(bits)
    codes = random.integers(0, min(distinct, 1 << bits), (num_rows, 4)).astype(dtype)
    expected = sorted(range(num_rows), key=lambda row: (*codes[row].tolist(), row))
    order, columns = sort_rows(codes, [1 << bits] * 4)
    assert order.tolist() == expected
    assert np.array_equal(np.stack(columns, axis=1), codes[expected])


def test_order_and_position_undo_each_other():
    codes = np.random.default_rng(0).integers(0, 4, (200, 3))
    arrays = PrefixTrie.from_codes(codes).arrays
    assert arrays.position[arrays.order].tolist() == list(range(200))


def test_permuting_the_catalogue_changes_nothing_but_the_row_numbers():
    random = np.random.default_rng(1)
    codes = random.integers(0, 5, (300, 3))
    shuffle = random.permutation(300)
    one, other = PrefixTrie.from_codes(codes), PrefixTrie.from_codes(codes[shuffle])
    mine, theirs = named_arrays(one.arrays), named_arrays(other.arrays)
    for name in mine.keys() - {"order", "position"}:
        assert np.array_equal(mine[name], theirs[name])
    for prefix in prefixes(codes):
        assert sorted(shuffle[other.rows(prefix)].tolist()) == sorted(one.rows(prefix).tolist())


def test_one_row_is_a_trie_of_one_path():
    trie = PrefixTrie.from_codes(np.array([[2, 0, 7]]))
    assert trie.level_sizes == (3, 1, 8)
    assert trie.num_nodes == trie.fanout == (1, 1, 1)
    assert trie.rows((2, 0, 7)).tolist() == trie.rows().tolist() == [0]
    assert trie.children((2,)).tolist() == [0]
    assert trie.children((2, 0, 7)).tolist() == []


def test_every_row_of_a_shared_leaf_is_found():
    trie = PrefixTrie.from_codes(np.array([[1, 1], [0, 2], [1, 1], [1, 2], [1, 1]]))
    assert trie.rows((1, 1)).tolist() == [0, 2, 4]
    assert trie.rows((1, 2)).tolist() == [3]
    assert trie.rows((0, 2)).tolist() == [1]


def test_nbytes_counts_every_array():
    # 3 + 4 tokens of one byte; of four bytes 2 + 4 child starts, 4 + 4 row numbers, and 2 + 2 for one row in every leaf
    trie = PrefixTrie.from_codes(np.array([[0, 0], [1, 0], [2, 0], [2, 1]]))
    assert trie.nbytes == 3 + 4 + 4 * (2 + 4 + 4 + 4 + 2 + 2)


@pytest.mark.parametrize(
    ("codes", "sizes", "message"),
    [
        ([[0, 1], [0, -1]], None, "code -1 of row 1 at level 1"),
        ([[0, 1], [4, 1]], (4, 2), r"code 4 of row 1 at level 0 is outside 0..3"),
        ([[0, 1]], (4,), "1 entries, but the codes have 2 levels"),
        ([[0, 1]], (4, 2**31 + 1), r"at most 2\*\*31 codes"),
        (np.empty((0, 3), dtype=int), None, "at least 1"),
        (np.empty((3, 0), dtype=int), None, "at least 1"),
    ],
)
def test_codes_that_make_no_trie_are_refused(codes, sizes, message):
    with pytest.raises(ValueError, match=message):
        PrefixTrie.from_codes(np.array(codes), level_sizes=sizes)


def test_a_prefix_that_no_id_can_have_is_refused():
    trie = PrefixTrie.from_codes(np.array([[0, 1], [1, 1]]))
    with pytest.raises(ValueError, match=r"code 2 at level 0 is outside 0..1"):
        trie.rows((2,))
    with pytest.raises(ValueError, match="at most 2 codes, got 3"):
        trie.children((0, 1, 0))


def test_a_prefix_without_rows_has_no_rows_and_no_children():
    trie = PrefixTrie.from_codes(np.array([[0, 1, 1], [1, 0, 0]]))
    assert trie.rows((0, 0)).tolist() == []
    assert trie.children((0, 0)).tolist() == []
    assert trie.rows((0, 0, 1)).tolist() == []


@pytest.mark.parametrize("exponent", [0.0, 0.7])  # Zipf's; 0: uniform
def test_a_million_rows_of_four_codes_take_less_than_twelve_bytes_each(exponent):
    random = np.random.default_rng(0)
    share = np.cumsum(np.arange(1.0, 257.0) ** -exponent)
    codes = np.searchsorted(share[:-1] / share[-1], random.random((1_400_000, 4))).astype(np.uint8)
    distinct = random.choice(np.unique(codes.view(np.uint32)), (1_000_000, 1), replace=False)
    trie = PrefixTrie.from_codes(distinct.view(np.uint8), level_sizes=(256,) * 4)
    assert trie.num_nodes[-1] == trie.num_rows == 1_000_000
    assert 10 < trie.nbytes / trie.num_rows < 12
