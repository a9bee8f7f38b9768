import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import DenyRows, PrefixTrie
from trie.step import certified, items, start, step

SIZES = (3, 4, 3, 2)


@st.composite
def catalogues(draw):
    """IDs of 1 to 4 codes; many are the beginning of another one, some are equal."""
    code = [st.integers(0, size - 1) for size in SIZES]
    ids = [st.tuples(*code[:length]) for length in range(1, len(SIZES) + 1)]
    return draw(st.lists(st.one_of(ids), min_size=1, max_size=20))


def stopped(sequence: tuple[int, ...]) -> tuple[int, ...]:
    """What is chosen code by code: the sequence, and a stop where it could go on."""
    return sequence if len(sequence) == len(SIZES) else (*sequence, SIZES[len(sequence)])


def logits_after(seed: int, prefix: tuple[int, ...]) -> np.ndarray:
    """Random logits of the next code and the stop, as a function of the user and the prefix."""
    size = SIZES[len(prefix)] + (len(prefix) > 0)
    return np.random.default_rng([seed, 5, *prefix]).normal(0, 2, size).astype(np.float32)


def exhaustive(sequences, seed, score):
    """The plain twin: every ID by itself, without a trie and without anything after its stop."""
    ids = [stopped(sequence) for sequence in sequences]
    result = []
    for mine in ids:
        total = -math.log(Counter(ids)[mine])
        for level, code in enumerate(mine):
            logits = logits_after(seed, mine[:level]).astype(np.float64)
            offered = range(len(logits)) if score == "joint" else {i[level] for i in ids if i[:level] == mine[:level]}
            total += logits[code] - math.log(sum(math.exp(logits[other]) for other in offered))
        result.append(total)
    return np.array(result)


def decode(trie, seeds, *, beam_size, score, filters=None):
    """The beam search of a generator that has nothing to say about dead beams and about IDs that have ended."""
    beams = start(trie, len(seeds))
    prefixes = [[()] for _ in seeds]
    for level, size in enumerate(trie.trie.level_sizes):
        logits = np.full((*beams.node.shape, size), np.nan, dtype=np.float32)
        for user, seed in enumerate(seeds):
            for beam, prefix in enumerate(prefixes[user]):
                if beams.score[user, beam] > -math.inf and stopped(prefix[:-1]) != prefix:
                    logits[user, beam] = logits_after(seed, prefix)
        beams = step(trie, level, beams, torch.from_numpy(logits), beam_size=beam_size, score=score, filters=filters)
        steps = zip(beams.parent.tolist(), beams.code.tolist(), prefixes, strict=True)
        longer = [[(mine[p], c) for p, c in zip(parents, codes, strict=True)] for parents, codes, mine in steps]
        prefixes = [[p if p and stopped(p[:-1]) == p else (*p, c) for p, c in mine] for mine in longer]
    return items(trie, beams, beam_size=beam_size, filters=filters)


@pytest.mark.parametrize("score", ["joint", "catalog"])
@given(sequences=catalogues(), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_wide_beam_over_ids_of_different_lengths_equals_exhaustive_scoring(score, sequences, seed):
    trie = PrefixTrie.from_sequences(sequences, level_sizes=SIZES).to("cpu")
    leaves = decode(trie, [seed, seed + 1], beam_size=len(sequences) + 2, score=score)
    for user in range(2):
        rows = [row for row in leaves.row[user].tolist() if row >= 0]
        scores = leaves.score[user, : len(rows)].tolist()
        assert sorted(rows) == list(range(len(sequences)))
        assert scores == sorted(scores, reverse=True)
        assert np.allclose(scores, exhaustive(sequences, seed + user, score)[rows], atol=1e-4)
        assert certified(leaves)[user] == len(sequences)
        if score == "catalog":
            assert math.isclose(sum(map(math.exp, scores)), 1, abs_tol=1e-4)


@given(sequences=catalogues(), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_narrow_beam_keeps_its_proofs_and_finds_the_allowed_ids(sequences, seed):
    trie = PrefixTrie.from_sequences(sequences, level_sizes=SIZES).to("cpu")
    truth = exhaustive(sequences, seed, "joint")
    leaves = decode(trie, [seed], beam_size=2, score="joint")
    head = int(certified(leaves)[0])
    assert np.allclose(leaves.score[0, :head], np.sort(truth)[::-1][:head], atol=1e-4)
    for row in range(len(sequences)):
        others = DenyRows.from_rows(trie, [[other for other in range(len(sequences)) if other != row]])
        leaves = decode(trie, [seed], beam_size=2, score="joint", filters=others)
        assert [found for found in leaves.row[0].tolist() if found >= 0] == [row]
        assert leaves.score[0, 0].item() == pytest.approx(truth[row], abs=1e-4)


def test_an_id_that_begins_another_ends_at_its_own_probability():
    # Code 1 has .5, then code 0 .8 and the stop .2, after which the stop of level 2 costs nothing.
    trie = PrefixTrie.from_sequences([(1,), (1, 0), (1, 0, 0)], level_sizes=(2, 1, 1)).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.5, 0.5]]]).log(), beam_size=3)
    beams = step(trie, 1, beams, torch.tensor([[[0.8, 0.2]]]).log(), beam_size=3)
    assert beams.code.tolist() == [[0, 1]]  # the stop comes after the one code of level 1
    logits = torch.tensor([[[0.7, 0.3], [torch.nan, torch.nan]]]).log()
    leaves = items(trie, step(trie, 2, beams, logits, beam_size=3), beam_size=3)
    assert leaves.row.tolist() == [[2, 1, 0]]
    assert leaves.score.exp().tolist() == [pytest.approx([0.5 * 0.8 * 0.7, 0.5 * 0.8 * 0.3, 0.5 * 0.2])]


def test_the_last_code_of_the_first_level_is_no_stop():
    trie = PrefixTrie.from_sequences([(1, 0), (1, 1)], level_sizes=(2, 2)).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.5, 0.5]]]).log(), beam_size=2)
    leaves = items(trie, step(trie, 1, beams, torch.tensor([[[0.3, 0.6, 0.1]]]).log(), beam_size=2), beam_size=2)
    assert leaves.score.exp().tolist() == [pytest.approx([0.3, 0.15])]


def test_shorter_ids_are_padded_with_the_last_code_of_each_level_but_the_first():
    trie = PrefixTrie.from_sequences([(1, 2, 0), (1,), (1, 2), (0, 3)], level_sizes=(4, 4, 4))
    assert trie.level_sizes == (4, 5, 5)
    assert trie.has_stop
    assert trie.children().tolist() == [0, 1]
    assert trie.children((1,)).tolist() == [2, 4]
    assert trie.children((1, 2)).tolist() == [0, 4]
    assert trie.children((1, 4)).tolist() == [4]
    assert trie.rows((1, 2)).tolist() == [0, 2]  # the longer ID, too
    assert trie.rows((1, 2, 4)).tolist() == [2]
    assert trie.rows((1, 4, 4)).tolist() == [1]
    assert trie.rows((0, 3)).tolist() == [3]


def test_sizes_are_those_of_the_codes_that_occur_and_ids_of_one_length_may_stop_too():
    trie = PrefixTrie.from_sequences([(0, 7, 3), (5,)], rows=np.array([2, 9]))
    assert trie.level_sizes == (6, 9, 5)
    assert trie.rows((5,)).tolist() == [9]
    alike = PrefixTrie.from_sequences([(0, 1), (1, 0)])
    assert (alike.level_sizes, alike.has_stop) == ((2, 3), True)
    assert PrefixTrie.from_sequences([(3,), (1,)]).level_sizes == (4,)  # one level, no stop


def test_levels_that_no_id_reaches_hold_nothing_but_stops():
    trie = PrefixTrie.from_sequences([(0,), (1, 1)], level_sizes=(2, 2, 8))
    assert trie.length == 3
    assert trie.rows((1, 1, 8)).tolist() == [1]


def test_a_saved_trie_knows_that_it_has_stops(tmp_path):
    PrefixTrie.from_sequences([(0,), (0, 1)]).save(tmp_path / "some")
    PrefixTrie.from_codes(np.array([[0, 1]])).save(tmp_path / "none")
    assert PrefixTrie.load(tmp_path / "some").has_stop
    assert not PrefixTrie.load(tmp_path / "none").has_stop


@pytest.mark.parametrize(
    ("sequences", "sizes", "message"),
    [
        ([(0,), ()], None, "1 to 1 codes a sequence.*sequence 1 has 0"),
        ([(0,), (0, 1, 2)], (3, 3), "1 to 2 codes a sequence.*sequence 1 has 3"),
        ([(0, 2), (1,)], (2, 2), "code 2 of row 0 at level 1 is outside 0..1"),  # it would be the stop
        ([(0,), (0, -1)], None, "code -1 of row 1 at level 1"),
        ([], (2, 2), "at least 1"),
        ([], None, "at least 1"),
    ],
)
def test_sequences_that_make_no_trie_are_refused(sequences, sizes, message):
    with pytest.raises(ValueError, match=message):
        PrefixTrie.from_sequences(sequences, level_sizes=sizes)
