"""Ten thousand random pairs of a catalogue and a filter, each against scoring every row and filtering after."""

import math

import numpy as np
import pytest
import torch

from trie import AllowRows, Bitmap, Conjunction, DenyRows, PrefixTrie, listing, torch_trie
from trie.step import certified, items, start, step

USERS = 8
CATALOGUES = 1250


def random_problem(random):
    sizes = tuple(random.integers(1, 7, random.integers(1, 5)).tolist())
    num_rows = int(random.integers(1, 40))
    codes = np.stack([random.integers(0, size, num_rows) for size in sizes], axis=1)
    if random.random() < 0.3:  # most items below a few first codes
        codes[:, 0] = np.minimum(codes[:, 0], random.integers(0, sizes[0]))
    tables = [
        torch.from_numpy(random.normal(0, 2, (USERS, math.prod(sizes[:level]), size))).float()
        for level, size in enumerate(sizes)
    ]
    return codes, sizes, tables


def random_filters(random, trie, num_rows):
    """Filters for all users, and which rows each may get."""
    allowed = np.ones((USERS, num_rows), dtype=bool)
    parts = []
    share = random.choice([0.02, 0.2, 0.7])
    if random.random() < 0.6:
        denied = [np.flatnonzero(random.random(num_rows) < share) for _ in range(USERS)]
        parts.append(DenyRows.from_rows(trie, denied))
        for user, rows in enumerate(denied):
            allowed[user, rows] = False
    if random.random() < 0.6:
        lists = [
            None if random.random() < 0.3 else random.choice(num_rows, random.integers(1, num_rows + 1), replace=False)
            for _ in range(USERS)
        ]
        parts.append(AllowRows.from_rows(trie, lists))
        for user, rows in enumerate(lists):
            if rows is not None:
                allowed[user] &= np.isin(np.arange(num_rows), rows)
    if random.random() < 0.4 or not parts:
        mask = random.random(num_rows) < 0.6
        mask[random.integers(num_rows)] = True
        parts.append(Bitmap.from_mask(trie, mask))
        allowed &= mask
    return Conjunction.of(*parts), allowed


def row_scores(codes, sizes, tables, score):
    """The twin: the log-probability of every row for every user, one row after the other."""
    rows = [tuple(row) for row in codes.tolist()]
    result = np.zeros((USERS, len(rows)))
    for place, row in enumerate(rows):
        result[:, place] -= math.log(rows.count(row))
        for level, size in enumerate(sizes):
            prefix = int(np.ravel_multi_index(row[:level], sizes[:level])) if level else 0
            logits = tables[level][:, prefix].double().numpy()
            children = {other[level] for other in rows if other[:level] == row[:level]}
            offered = list(range(size)) if score == "joint" else sorted(children)
            result[:, place] += logits[:, row[level]] - np.log(np.exp(logits[:, offered]).sum(1))
    return result


def search(trie, sizes, tables, *, beam_size, filters, score):
    beams, prefix = start(trie, USERS), torch.zeros(USERS, 1, dtype=torch.int64)
    users = torch.arange(USERS)[:, None]
    for level, size in enumerate(sizes):
        logits = tables[level][users, prefix]
        beams = step(trie, level, beams, logits, beam_size=beam_size, filters=filters, score=score)
        prefix = prefix.gather(1, beams.parent) * size + beams.code
    return items(trie, beams, beam_size=beam_size, filters=filters)


@pytest.mark.parametrize("part", range(5))
def test_every_list_holds_as_many_allowed_rows_as_it_can_and_a_wide_beam_the_best_of_them(part, monkeypatch):
    monkeypatch.setattr(listing, "ASK_ALL", (0, listing.ASK_ALL)[part % 2])
    monkeypatch.setattr(torch_trie, "SMALL_TABLE", (0, torch_trie.SMALL_TABLE)[part // 2 % 2])
    cases = exact = 0
    for number in range(part, CATALOGUES, 5):
        random = np.random.default_rng(number)
        codes, sizes, tables = random_problem(random)
        trie = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
        filters, allowed = random_filters(random, trie, len(codes))
        score = ("joint", "catalog")[number % 2]
        truth = np.where(allowed, row_scores(codes, sizes, tables, score), -np.inf)
        wide = bool(random.random() < 0.5)
        beam_size = len(codes) if wide else int(random.integers(1, 9))
        leaves = search(trie, sizes, tables, beam_size=beam_size, filters=filters, score=score)
        proven = certified(leaves).tolist()
        for user in range(USERS):
            rows = [row for row in leaves.row[user].tolist() if row >= 0]
            assert len(rows) == len(set(rows)) == min(beam_size, int(allowed[user].sum()))
            assert allowed[user, rows].all()
            scores = leaves.score[user, : len(rows)].numpy()
            assert np.allclose(scores, truth[user, rows], atol=1e-4)
            head = len(rows) if wide else proven[user]
            best = -np.sort(-truth[user])[:head]
            assert np.allclose(scores[:head], best, atol=1e-4)
            cases, exact = cases + 1, exact + head
    assert cases == CATALOGUES // 5 * USERS and exact > cases
