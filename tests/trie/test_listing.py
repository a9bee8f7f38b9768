import numpy as np
import pytest
import torch

from trie import AllowRows, Bitmap, PrefixTrie, listing
from trie.listing import child_ranges, children_to_ask, list_allowed, list_children
from trie.step import items, start, step

# 100 children below the root, 10 rows below each: row 42 is the ID (4, 2).
HUNDRED = np.stack([np.arange(1000) // 10, np.arange(1000) % 10], axis=1)


def of_the_root(trie, batch_size):
    """The arguments of `list_children` in the first step."""
    beams = start(trie, batch_size)
    return trie, 0, beams.node, child_ranges(trie, 0, beams.node, beams.score)


def test_a_short_list_is_walked_row_by_row_and_a_child_above_two_of_them_stands_once():
    trie = PrefixTrie.from_codes(HUNDRED).to("cpu")
    root = of_the_root(trie, 2)
    allow = AllowRows.from_rows(trie, [[999, 7, 42, 3], [500]])
    found, by_list = list_allowed(*root, allow)
    assert list_children(trie, 0, root[3]).child.shape == (2, 100)
    assert found.child.shape == (2, 4)
    assert [found.child[user][found.used[user]].tolist() for user in range(2)] == [[0, 4, 99], [50]]
    assert torch.equal(by_list, found.used)
    assert children_to_ask(*root, allow)[1] is None  # what a list holds need not be asked about


def test_beams_on_one_node_have_its_children_each():
    trie = PrefixTrie.from_codes(HUNDRED).to("cpu")
    node, score = torch.tensor([[4, 4, 5]]), torch.tensor([[0.0, 0.0, -torch.inf]])
    ranges = child_ranges(trie, 1, node, score)
    found, _ = list_allowed(trie, 1, node, ranges, AllowRows.from_rows(trie, [[42, 51]]))
    assert found.child[found.used].tolist() == [42, 42]
    assert found.beam[found.used].tolist() == [0, 1]


@pytest.mark.parametrize("ask_all", [0, 512])
def test_a_list_longer_than_the_children_is_asked_about_them(monkeypatch, ask_all):
    monkeypatch.setattr(listing, "ASK_ALL", ask_all)
    trie = PrefixTrie.from_codes(HUNDRED).to("cpu")
    found, passes = children_to_ask(*of_the_root(trie, 3), AllowRows.from_rows(trie, [range(605), [42, 43], None]))
    assert (passes is None) == (ask_all == 512)
    every = torch.arange(100).expand(3, -1)
    passing = found.used if passes is None else found.used & passes.ask(every)
    children = [found.child[user][passing[user]].tolist() for user in range(3)]
    assert children == [list(range(61)), [4], list(range(100))]


@pytest.mark.parametrize("ask_all", [0, 512])
@pytest.mark.parametrize("beam_size", [7, 60])
def test_a_list_finds_what_a_bitmap_of_its_rows_finds(monkeypatch, ask_all, beam_size):
    monkeypatch.setattr(listing, "ASK_ALL", ask_all)
    random = np.random.default_rng(3)
    codes = random.integers(0, 20, (4000, 3)) ** 2 // 20  # small codes more often, and many leaves shared
    trie = PrefixTrie.from_codes(codes).to("cpu")
    assert trie.has_shared_leaves
    nodes = (1, *trie.trie.num_nodes)
    lists = [None if size is None else random.integers(0, 4000, size) for size in (1, 40, None, 700, 3000, 20000)]
    tables = [torch.from_numpy(random.normal(0, 2, (nodes[level], size))) for level, size in enumerate((19, 19, 19))]

    def found(batch_size, filters):
        beams = start(trie, batch_size)
        for level, table in enumerate(tables):
            beams = step(trie, level, beams, table[beams.node], beam_size=beam_size, filters=filters)
        return items(trie, beams, beam_size=beam_size, filters=filters)

    together = found(len(lists), AllowRows.from_rows(trie, lists))
    for user, rows in enumerate(lists):
        mask = np.isin(np.arange(4000), np.arange(4000) if rows is None else rows)
        alone = found(1, Bitmap.from_mask(trie, mask))
        width = alone.row.shape[1]
        assert together.row[user, :width].tolist() == alone.row[0].tolist()
        assert together.score[user, :width].tolist() == alone.score[0].tolist()
        assert together.bound[user] == alone.bound[0]
        assert (together.row[user, width:] == -1).all()
