import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.generator.prefixes import Prefixes
from trie import PrefixTrie


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4), st.integers(1, 6))
def test_valid_children_are_the_codes_that_items_with_the_same_beginning_have(seed, num_items, levels, level_size):
    random = np.random.default_rng(seed)
    codes = random.integers(0, level_size, (num_items, levels))
    prefixes = Prefixes(PrefixTrie.from_codes(codes, level_sizes=[level_size] * levels))
    rows = random.integers(0, num_items, (3, 2))
    for level, valid in enumerate(prefixes.all_valid_children(torch.from_numpy(rows))):
        assert valid.shape == (3, 2, level_size)
        for place in np.ndindex(3, 2):
            alike = (codes[:, :level] == codes[rows[place], :level]).all(1)
            assert set(np.flatnonzero(valid[place])) == set(codes[alike, level])


def test_items_share_the_number_of_a_prefix_as_long_as_their_codes_agree():
    prefixes = Prefixes(PrefixTrie.from_codes(np.array([[1, 2, 0], [1, 2, 3], [0, 2, 3]])))
    first, second, third = prefixes.of(torch.arange(3)).tolist()
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False]
    assert [a == b for a, b in zip(second, third, strict=True)] == [False, False, False]


def test_a_trie_that_lost_rows_is_refused():
    trie = PrefixTrie.from_codes(np.array([[0], [1]]), rows=np.array([0, 2]))
    with pytest.raises(ValueError, match=r"all rows 0\.\.2, got one of 2"):
        Prefixes(trie)
