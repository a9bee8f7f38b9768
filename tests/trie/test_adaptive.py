import math

import numpy as np
import pytest
import torch

from trie import PrefixTrie
from trie.adaptive import narrowed
from trie.step import Beams, items, start, step


@pytest.fixture
def trie():
    return PrefixTrie.from_codes(np.arange(4)[:, None]).to("cpu")


def beams_of(*probabilities):
    score = torch.tensor(probabilities).log()
    zeros = torch.arange(score.shape[1]).expand_as(score)
    return Beams(zeros, score, zeros, zeros, torch.full((len(score),), math.log(0.01)))


def test_beams_are_kept_until_they_hold_the_mass(trie):
    found = narrowed(trie, beams_of([0.6, 0.25, 0.1, 0.05]), mass=0.8)
    assert found.node.tolist() == [[0, 1]]
    assert found.bound.exp().tolist() == pytest.approx([0.1])  # the best that was dropped


def test_a_certain_user_is_narrow_and_an_uncertain_neighbour_wide(trie):
    found = narrowed(trie, beams_of([0.97, 0.01, 0.01, 0.01], [0.25, 0.25, 0.25, 0.25]), mass=0.9)
    assert (found.score > -math.inf).sum(1).tolist() == [1, 4]
    assert found.bound.exp().tolist() == pytest.approx([0.01, 0.01])


def test_the_whole_mass_keeps_everything_and_a_least_width_is_kept(trie):
    beams = beams_of([0.9, 0.05, 0.03, 0.02])
    assert narrowed(trie, beams, mass=1.0) is beams
    assert narrowed(trie, beams, mass=0.1, at_least=3).node.tolist() == [[0, 1, 2]]


def test_what_was_dropped_is_not_certified_over():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1], [1, 0]])).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.6, 0.4]]]).log(), beam_size=2)
    beams = narrowed(trie, beams, mass=0.5)
    leaves = items(trie, step(trie, 1, beams, torch.zeros(1, 1, 2), beam_size=2), beam_size=2)
    assert leaves.row.tolist() == [[0, 1]] and leaves.score.exp().tolist() == [pytest.approx([0.3, 0.3])]
    assert leaves.bound.exp().tolist() == pytest.approx([0.4])  # row 2 has .4: neither of the two is certain


@pytest.mark.parametrize(("wrong", "message"), [({"mass": 0.0}, "mass"), ({"mass": 0.5, "at_least": 0}, "at_least")])
def test_choices_that_keep_nothing_are_refused(trie, wrong, message):
    with pytest.raises(ValueError, match=message):
        narrowed(trie, beams_of([1.0]), **wrong)
