import numpy as np
import pytest
import torch

from trie import PrefixTrie


def test_static_width_is_the_children_of_the_widest_nodes_and_never_too_small():
    # Four nodes with 3, 1, 2 and 1 children, the last leaf shared by 3 rows.
    codes = [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1], [3, 0], [3, 0], [3, 0]]
    trie = PrefixTrie.from_codes(np.array(codes)).to("cpu")
    assert [trie.width(1, beams) for beams in (1, 2, 3, 4, 50)] == [3, 5, 6, 7, 7]
    assert [trie.width(2, leaves) for leaves in (1, 2, 7, 50)] == [3, 4, 9, 9]


@pytest.mark.parametrize("sizes", [(3, 3, 3), (300, 65536, 70000)])
def test_advance_finds_the_child_of_every_node_or_none(sizes):
    random = np.random.default_rng(5)
    codes = np.stack([random.choice([size - 1, *random.integers(0, size, 3)], 40) for size in sizes], axis=1)
    trie = PrefixTrie.from_codes(codes, level_sizes=sizes)
    for depth, size in enumerate(sizes):
        nodes = 1 if depth == 0 else trie.num_nodes[depth - 1]
        tried = [*set(codes[:, depth].tolist()), 0, size - 1]
        node, code = torch.meshgrid(torch.arange(nodes), torch.tensor(tried), indexing="ij")
        expected = [[trie.advance(depth, n, c) for c in tried] for n in range(nodes)]
        found = trie.to("cpu").advance(depth, node, code).tolist()
        assert found == [[-1 if child is None else child for child in row] for row in expected]
