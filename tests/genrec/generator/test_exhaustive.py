"""Scoring without a beam against a double loop over users and items, and against the beam search."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrec.generator import exhaustive
from genrec.generator.beam_search import PrefixCap, beam_search
from genrec.generator.exhaustive import best_of_catalogue, score_catalogue, score_positions
from trie import AllowRows, Bitmap, DenyRows, PrefixTrie

SIZES = (4, 3, 3)


class TableModel:
    """Logits that depend on the user and on all codes so far; counts what it is asked."""

    def __init__(self, users, sizes=SIZES):
        self.users, self.sizes, self.asked = users, sizes, 0
        self.tables = [torch.randn(101, size, generator=torch.Generator().manual_seed(size)) for size in sizes]

    def read_history(self, history):
        return history

    def next_code_logits(self, read, written, *, codes=None, parents=None):
        if written is None:
            level, prefix = 0, torch.arange(self.users)[:, None] * 7
        else:
            level, before = written
            prefix = before.gather(1, parents) * 5 + codes + 1
            level += 1
        self.asked += prefix.shape[1]
        return self.tables[level][prefix % 101], (level, prefix)

    def logits(self, user, prefix):
        number = user * 7
        for code in prefix:
            number = number * 5 + int(code) + 1
        return self.tables[len(prefix)][number % 101].tolist()


def plain_scores(model, user, codes, kept, score, stops=False):
    """The log-probability of every row of codes, one by one; -inf for rows that are not kept."""
    scores = []
    for row, code_row in enumerate(map(tuple, codes.tolist())):
        total = 0.0
        for level, code in enumerate(code_row):
            if stops and level > 1 and code_row[level - 1] == model.sizes[level - 1] - 1:
                continue
            logits = model.logits(user, code_row[:level])
            children = {
                tuple(other)[level] for other in codes[kept].tolist() if tuple(other)[:level] == code_row[:level]
            }
            among = range(len(logits)) if score == "joint" else sorted(children)
            normaliser = math.log(sum(math.exp(logits[child]) for child in among)) if kept[row] else 0.0
            total += logits[code] - normaliser
        sharers = sum(kept[other] and tuple(codes[other].tolist()) == code_row for other in range(len(codes)))
        scores.append(total - math.log(sharers) if kept[row] else -math.inf)
    return scores


@st.composite
def catalogues(draw):
    """Codes (some rows share them), which rows are kept, and row numbers with gaps."""
    codes = draw(st.lists(st.tuples(*(st.integers(0, size - 1) for size in SIZES)), min_size=1, max_size=12))
    kept = draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)).filter(any))
    rows = np.cumsum(draw(st.lists(st.integers(1, 3), min_size=len(codes), max_size=len(codes)))) - 1
    return np.array(codes), np.array(kept), rows


@settings(max_examples=60, deadline=None)
@given(catalogue=catalogues(), score=st.sampled_from(["joint", "catalog"]), block=st.sampled_from([1, 20, 1 << 20]))
def test_every_row_has_the_score_of_a_double_loop(catalogue, score, block):
    codes, kept, rows = catalogue
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES, rows=rows).to("cpu")
    mask = np.zeros(trie.trie.num_row_slots, dtype=bool)
    mask[rows] = kept
    trie, model = trie.with_stock(Bitmap.from_mask(trie, mask)), TableModel(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhaustive, "LOGITS_AT_ONCE", block)
        scores = score_catalogue(model, trie, None, batch_size=2, score=score)
    assert scores.shape == (2, rows[-1] + 1)
    for user in range(2):
        assert scores[user, rows].tolist() == pytest.approx(plain_scores(model, user, codes, kept, score), abs=1e-5)
    others = np.setdiff1d(np.arange(rows[-1] + 1), rows)
    assert bool((scores[:, others] == -torch.inf).all())
    if score == "catalog":
        torch.testing.assert_close(scores.exp().sum(1), torch.ones(2))


@settings(max_examples=40, deadline=None)
@given(catalogue=catalogues(), score=st.sampled_from(["joint", "catalog"]), beam_size=st.integers(1, 14))
def test_the_best_of_all_are_what_a_beam_without_pruning_finds(catalogue, score, beam_size):
    codes, kept, _ = catalogue
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES).to("cpu")
    trie, model = trie.with_stock(Bitmap.from_mask(trie, kept)), TableModel(2)
    filters = DenyRows.from_rows(trie, [[0], range(len(codes) // 2)])
    options = {"batch_size": 2, "filters": filters, "score": score}
    ours = best_of_catalogue(model, trie, None, beam_size=beam_size, **options)
    theirs = beam_search(model, trie, None, beam_size=50, **options)
    width = min(beam_size, theirs.score.shape[1], ours.score.shape[1])
    torch.testing.assert_close(ours.score[:, :width], theirs.score[:, :width], atol=1e-5, rtol=1e-5)
    for user in range(2):
        assert set(ours.row[user].tolist()) <= {*theirs.row[user].tolist(), -1}
    if theirs.score.shape[1] > beam_size:  # the first that was left out is the bound
        torch.testing.assert_close(ours.bound, theirs.score[:, beam_size], atol=1e-5, rtol=1e-5)


def test_an_id_that_has_ended_costs_nothing_more():
    codes = np.array([[0, 2, 2], [0, 1, 0], [3, 2, 2], [1, 0, 2]])  # 2 ends an ID on the second level
    trie = replace(PrefixTrie.from_codes(codes, level_sizes=SIZES), has_stop=True).to("cpu")
    model, kept = TableModel(1), np.ones(4, dtype=bool)
    scores = score_catalogue(model, trie, None, batch_size=1)[0].tolist()
    assert scores == pytest.approx(plain_scores(model, 0, codes, kept, "joint", stops=True), abs=1e-5)
    first, second = (torch.tensor(model.logits(0, prefix)).log_softmax(0) for prefix in ((), (0,)))
    assert scores[0] == pytest.approx((first[0] + second[2]).item(), abs=1e-5)


def test_given_rows_cost_only_the_nodes_above_them():
    codes = np.array([[a, b, c] for a in range(4) for b in range(3) for c in range(3)])
    trie, model = PrefixTrie.from_codes(codes, level_sizes=SIZES).to("cpu"), TableModel(2)
    everything = score_catalogue(model, trie, None, batch_size=2)
    assert model.asked == 1 + 4 + 12
    model.asked = 0
    positions = torch.tensor([35, 0, 1, 35])
    given_rows = score_positions(model, trie, None, positions=positions, batch_size=2)
    assert model.asked == 1 + 2 + 2
    torch.testing.assert_close(given_rows, everything[:, positions])


@pytest.mark.parametrize("encoder", ["causal_items", "bidirectional_tokens"])
def test_the_generator_is_scored_as_in_training(encoder, small_generator, prefix_trie, score_every_item):
    generator = small_generator(encoder)
    history = torch.tensor([[3, 9, 12, 4]])
    scores = score_catalogue(generator, prefix_trie.to("cpu"), generator.read_history(history), batch_size=1)
    torch.testing.assert_close(scores[0], score_every_item(generator, history), atol=1e-5, rtol=1e-4)


def test_one_level_is_enough():
    trie, model = PrefixTrie.from_codes(np.array([[2], [0], [2]]), level_sizes=(4,)).to("cpu"), TableModel(1, (4,))
    expected = torch.tensor(model.logits(0, ())).log_softmax(0)
    scores = score_catalogue(model, trie, None, batch_size=1)[0]
    torch.testing.assert_close(scores, expected[[2, 0, 2]] - torch.tensor([math.log(2), 0.0, math.log(2)]))


def test_lists_of_allowed_rows_hold(small_generator, prefix_trie):
    generator, trie = small_generator(), prefix_trie.to("cpu")
    filters = AllowRows.from_rows(trie, [[7, 3], None])
    read = generator.read_history(torch.tensor([[3], [9]]))
    found = best_of_catalogue(generator, trie, read, batch_size=2, beam_size=5, filters=filters)
    assert sorted(found.row[0].tolist()) == [-1, -1, -1, 3, 7] and bool((found.row[1] >= 0).all())


@pytest.mark.parametrize("cap", [PrefixCap(1, 2), PrefixCap(2, 1), PrefixCap(3, 1)])
def test_the_best_of_the_catalogue_holds_a_cap_that_costs_no_certificate(small_generator, prefix_trie, codes, cap):
    generator, trie = small_generator(), prefix_trie.to("cpu")
    read = generator.read_history(torch.tensor([[3, 9], [5, 7]]))
    free = best_of_catalogue(generator, trie, read, batch_size=2, beam_size=40)
    leaves = best_of_catalogue(generator, trie, read, batch_size=2, beam_size=12, cap=cap)
    for order, rows in zip(free.row.tolist(), leaves.row.tolist(), strict=True):
        prefixes = [tuple(codes[row, : cap.depth]) for row in order]
        expected = [row for place, row in enumerate(order) if prefixes[:place].count(prefixes[place]) < cap.most]
        assert rows == (expected + [-1] * 12)[:12]
    assert (leaves.bound < leaves.score.masked_fill(leaves.row < 0, 0).amin(1)).all()
