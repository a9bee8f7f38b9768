import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trie.child_starts import ChildStarts
from trie.torch_starts import TorchStarts

NUMBERS_OF_CHILDREN = st.one_of(
    st.lists(st.integers(1, 4), min_size=1, max_size=30),
    st.lists(st.sampled_from([1, 1, 1, 1, 5]), min_size=1, max_size=60),
    st.lists(st.just(1), min_size=1, max_size=9),
)


def both_forms(counts: list[int]) -> list[ChildStarts]:
    """Every node listed, and as few as can be, whichever is smaller."""
    begin = np.cumsum([0, *counts]).astype(np.int32)
    listed = [0, *(node for node, count in enumerate(counts) if count > 1 and node), len(counts)]
    return [ChildStarts(begin, None), ChildStarts(begin[listed], np.array(listed, dtype=np.int32))]


@given(NUMBERS_OF_CHILDREN)
def test_both_forms_say_the_same_as_running_sums(counts):
    begin = [sum(counts[:node]) for node in range(len(counts) + 1)]
    parents = [node for node, count in enumerate(counts) for _ in range(count)]
    nodes = torch.arange(len(counts) + 1)
    for starts in both_forms(counts):
        assert (starts.num_nodes, starts.num_children, starts.most) == (len(counts), sum(counts), max(counts))
        assert starts.counts().tolist() == counts
        assert [starts.of(node) for node in range(len(counts) + 1)] == begin
        every = starts.with_all_listed()
        assert (every.begin.tolist(), every.listed) == (begin, None)
        tensors = TorchStarts.from_starts(starts, "cpu")
        assert tensors.of(nodes).tolist() == begin
        assert [part.tolist() for part in tensors.span(nodes[:-1])] == [begin[:-1], counts]
        assert tensors.above(torch.arange(sum(counts))).tolist() == parents


@given(NUMBERS_OF_CHILDREN)
def test_the_form_that_takes_less_memory_is_kept(counts):
    kept = ChildStarts.of_all(np.cumsum([0, *counts]))
    every, few = both_forms(counts)
    sizes = [sum(array.nbytes for array in starts if array is not None) for starts in (every, few)]
    expected = few if sizes[1] < sizes[0] else every
    assert [None if array is None else array.tolist() for array in kept] == [
        None if array is None else array.tolist() for array in expected
    ]


def test_nodes_with_one_child_need_no_entry():
    counts = [1] * 1000
    assert ChildStarts.of_all(np.cumsum([0, *counts])).listed.tolist() == [0, 1000]
    counts[500] = 3
    starts = ChildStarts.of_all(np.cumsum([0, *counts]))
    assert (starts.begin.tolist(), starts.listed.tolist()) == ([0, 500, 1002], [0, 500, 1000])
    assert [starts.of(node) for node in (499, 500, 501, 999, 1000)] == [499, 500, 503, 1001, 1002]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_look_ups_keep_the_shape(shape):
    for counts in ([1, 1, 1, 7, 1, 1], [1, 1, 1, 1, 1, 1], [3, 2, 1, 1, 2, 2]):
        starts = TorchStarts.from_starts(ChildStarts.of_all(np.cumsum([0, *counts])), "cpu")
        node = torch.full(shape, 4)
        for found in (starts.of(node), *starts.span(node), starts.above(node)):
            assert found.shape == shape
            assert found.dtype == torch.int64
