from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import Bitmap, PrefixTrie
from trie.step import items, start, step
from trie.torch_starts import TorchStarts


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


def without_tables(trie):
    """The view of a catalogue that is too large for tables."""
    starts = tuple(TorchStarts.from_starts(each, "cpu") for each in trie.trie.arrays.starts)
    return replace(trie, starts=starts, table=(None,) * trie.trie.length, first_row=(None,) * (trie.trie.length + 1))


@given(st.integers(0, 10**6), st.sampled_from([(2, 9, 3), (40, 40, 40), (2, 2), (300, 3, 3, 3)]))
@settings(max_examples=40, deadline=None)
def test_look_ups_with_and_without_tables_equal_those_row_by_row(seed, sizes):
    random = np.random.default_rng(seed)
    codes = np.stack([random.integers(0, size, random.integers(1, 40)) for size in sizes[:1]], axis=1)
    codes = np.concatenate([codes, *[random.integers(0, size, (len(codes), 1)) for size in sizes[1:]]], axis=1)
    small = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
    in_order = codes[small.trie.arrays.order]
    positions = torch.arange(len(codes))
    for depth in range(len(sizes) + 1):
        _, first, above = np.unique(in_order[:, :depth], axis=0, return_index=True, return_inverse=True)
        first, nodes = [*first.tolist(), len(codes)], torch.arange(len(first) + 1)
        for trie in (small, without_tables(small)):
            assert trie.first(depth, nodes).tolist() == first
            assert [end.tolist() for end in trie.row_range(depth, nodes[:-1])] == [first[:-1], first[1:]]
            assert trie.node_above(depth, positions).tolist() == above.flatten().tolist()
            assert trie.node_above(len(sizes) + 1, positions).tolist() == positions.tolist()
            if depth < len(sizes):
                code = torch.from_numpy(in_order[:, depth].astype(np.int64))
                child = trie.advance(depth, trie.node_above(depth, positions), code)
                assert child.tolist() == trie.node_above(depth + 1, positions).tolist()


@pytest.mark.usefixtures("without_shape_checks")
def test_look_ups_without_tables_compile_to_one_graph():
    codes = np.random.default_rng(7).integers(0, 60, (90, 3))
    trie = without_tables(PrefixTrie.from_codes(codes).to("cpu"))
    assert trie.starts[2].listed is not None and trie.starts[1].listed is None
    node, code = torch.arange(40), torch.from_numpy(codes[:40, 2])
    look_ups = lambda: (  # noqa: E731
        trie.first(1, node),
        *trie.children(1, node),
        *trie.children(2, node),
        trie.node_above(1, node),
        trie.advance(2, node, code),
        torch.tensor(trie.width(2, 3)),
    )
    compiled = torch.compile(look_ups, backend="eager", fullgraph=True, dynamic=False)()
    assert "widest" in vars(trie.trie)
    for found, expected in zip(compiled, look_ups(), strict=True):
        assert torch.equal(found, expected)


def test_tables_take_half_a_byte_a_row_or_are_small():
    # 2**16 nodes of depth 2 are few enough for a table of first rows, and too many for one of children.
    codes = np.stack([np.arange(1 << 17) >> 9, np.arange(1 << 17) >> 1 & 255, np.arange(1 << 17) & 1], axis=1)
    trie = PrefixTrie.from_codes(codes).to("cpu")
    assert trie.trie.num_nodes == (256, 65536, 131072)
    assert [table is None for table in trie.table] == [False, False, True]
    assert [table is None for table in trie.first_row] == [False, False, False, True]


def test_a_step_on_the_cpu_does_not_look_for_the_widest_nodes():
    trie = PrefixTrie.from_codes(np.random.default_rng(0).integers(0, 9, (300, 3))).to("cpu")
    beams = start(trie, 2)
    for level, size in enumerate(trie.trie.level_sizes):
        beams = step(trie, level, beams, torch.zeros(*beams.node.shape, size), beam_size=5, score="catalog")
    items(trie, beams, beam_size=5)
    assert "widest" not in vars(trie.trie)
    assert trie.width(0, 1) == 9
    assert "widest" in vars(trie.trie)


def test_another_stock_is_another_view_of_the_same_trie():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    widest = trie.trie.widest
    fewer = trie.with_stock(Bitmap.from_mask(trie, np.array([True, False])))
    assert fewer.stock is not None and trie.stock is None
    assert fewer.trie.widest is widest
    assert fewer.starts is trie.starts
