import numpy as np
import pytest

from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError
from genrec.stored_ids import load_prefix_trie, trie_holds
from trie import PrefixTrie

CODES = np.array([[0, 1], [2, 1], [0, 1], [0, 0]])


def test_a_trie_holds_the_codes_that_it_was_made_from_and_no_others(tmp_path):
    run = RunFolder(tmp_path)
    PrefixTrie.from_codes(CODES).save(run.prefix_trie)
    assert trie_holds(load_prefix_trie(run), CODES)
    assert not trie_holds(load_prefix_trie(run), CODES[::-1].copy())
    assert not trie_holds(load_prefix_trie(run), CODES[:3])


def test_a_damaged_trie_is_refused_with_what_to_do(tmp_path):
    run = RunFolder(tmp_path)
    PrefixTrie.from_codes(CODES).save(run.prefix_trie)
    for file in ("header.json", "token0.bin"):
        whole = (run.prefix_trie / file).read_bytes()
        (run.prefix_trie / file).write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(
            ArtifactError, match=rf"{file}.*: delete {run.prefix_trie} and run `genrec index {tmp_path}`"
        ):
            load_prefix_trie(run)
        (run.prefix_trie / file).write_bytes(whole)
