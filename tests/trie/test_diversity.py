import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trie import PrefixTrie
from trie.diversity import Cap, capped
from trie.step import certified, items, start, step


def plainly(scores, groups, most):
    """The twin: walk from the best on, and count."""
    kept, counts = list(scores), {}
    for slot in sorted(range(len(scores)), key=lambda slot: (-scores[slot], slot)):
        counts[groups[slot]] = counts.get(groups[slot], 0) + 1
        if counts[groups[slot]] > most:
            kept[slot] = -math.inf
    return kept


@given(st.lists(st.tuples(st.sampled_from([-3.0, -2.0, -1.0, -math.inf]), st.integers(0, 3)), min_size=1, max_size=12))
def test_a_group_keeps_its_best_slots_and_the_best_that_it_lost_is_known(slots):
    scores, groups = [score for score, _ in slots], [group for _, group in slots]
    for most in (1, 2, 5):
        found, dropped = capped(torch.tensor([scores]), torch.tensor([groups]), most=most)
        expected = plainly(scores, groups, most)
        assert found.tolist() == [expected]
        lost = [score for score, kept in zip(scores, expected, strict=True) if score != kept]
        assert dropped.tolist() == [max(lost, default=-math.inf)]


CODES = np.random.default_rng(0).integers(0, 5, (80, 3))
TABLE = [torch.from_numpy(np.random.default_rng(level).normal(0, 2, (5**level, 5))).float() for level in range(3)]


def search(*, beam_size, most=None):
    """A list of one user with at most so many of each first code; the model is a table of logits by prefix."""
    trie = PrefixTrie.from_codes(CODES, level_sizes=(5, 5, 5)).to("cpu")
    beams, prefix, cap = start(trie, 1), torch.zeros(1, 1, dtype=torch.int64), None
    for level in range(3):
        beams = step(trie, level, beams, TABLE[level][prefix], beam_size=beam_size, cap=cap)
        prefix = prefix.gather(1, beams.parent) * 5 + beams.code
        if most is not None:
            cap = Cap(most, beams.node if cap is None else cap.group.gather(1, beams.parent))
    leaves = items(trie, beams, beam_size=beam_size, cap=cap)
    return [row for row in leaves.row[0].tolist() if row >= 0], int(certified(leaves)[0])


def test_a_list_holds_no_more_than_the_cap_of_each_prefix_and_the_best_of_these():
    everything, _ = search(beam_size=80)
    first_codes = CODES[everything, 0].tolist()
    assert max(first_codes[:8].count(code) for code in range(5)) > 2  # else the cap would do nothing
    order = plainly([-float(place) for place in range(80)], first_codes, 2)
    expected = [row for row, kept in zip(everything, order, strict=True) if kept > -math.inf]
    for beam_size in (80, 8):
        rows, head = search(beam_size=beam_size, most=2)
        assert max(CODES[rows, 0].tolist().count(code) for code in range(5)) == 2
        assert rows[:head] == expected[:head]
    assert len(search(beam_size=80, most=2)[0]) == len(expected) == 10


def test_without_shared_leaves_what_the_cap_drops_at_the_end_costs_no_certificate():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1], [1, 0]])).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.7, 0.3]]]).log(), beam_size=3)
    cap = Cap(1, beams.node)
    beams = step(trie, 1, beams, torch.tensor([[[0.6, 0.4], [0.9, 0.1]]]).log(), beam_size=3, cap=cap)
    leaves = items(trie, beams, beam_size=3, cap=Cap(1, cap.group.gather(1, beams.parent)))
    assert [row for row in leaves.row[0].tolist() if row >= 0] == [0, 2]
    assert certified(leaves).tolist() == [2]
    assert leaves.score[0, :2].exp().tolist() == pytest.approx([0.42, 0.27])
