"""Sampling without replacement against what its definition says: draws, then draws from what is left."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from trie import Bitmap, DenyRows, PrefixTrie
from trie.noise import gumbel
from trie.sampling import certified_draws, sampled_rows, sampling_step, start_sampling

SIZES = (3, 3, 2)
CODES = np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 2, 0], [2, 0, 0], [2, 0, 1], [2, 2, 1], [2, 2, 1]])
LOGITS = [
    torch.from_numpy(np.random.default_rng(level).normal(0, 1.2, (math.prod(SIZES[:level]), size))).float()
    for level, size in enumerate(SIZES)
]


def draw(trie, num_users, num_samples, *, filters=None, first_seed=0):
    """Samples for many users who have all had the same history; the model is a table of logits by prefix."""
    seeds = torch.arange(first_seed, first_seed + num_users)
    beams = start_sampling(trie, seeds)
    prefix = torch.zeros(num_users, 1, dtype=torch.int64)
    for level, size in enumerate(SIZES):
        beams = sampling_step(
            trie, level, beams, LOGITS[level][prefix], seeds=seeds, num_samples=num_samples, filters=filters
        )
        prefix = prefix.gather(1, beams.parent) * size + beams.code
    return sampled_rows(trie, beams, seeds=seeds, num_samples=num_samples, filters=filters)


def probabilities(rows=tuple(range(8))):
    """The catalogue's distribution over its rows, one prefix after the other."""
    codes, result = [tuple(CODES[row].tolist()) for row in rows], []
    for code in codes:
        chance = 1 / codes.count(code)
        for level in range(len(SIZES)):
            place = int(np.ravel_multi_index(code[:level], SIZES[:level])) if level else 0
            weights = LOGITS[level][place].exp().tolist()
            offered = {other[level] for other in codes if other[:level] == code[:level]}
            chance *= weights[code[level]] / sum(weights[other] for other in offered)
        result.append(chance)
    return dict(zip(rows, result, strict=True))


def chance_of(drawn, chances):
    """Probability of these draws in this order, each from what the draws before have left."""
    result, left = 1.0, sum(chances.values())
    for row in drawn:
        result *= chances[row] / left
        left -= chances[row]
    return result


@pytest.mark.parametrize("num_samples", [1, 2, 3])
def test_draws_come_as_often_as_sampling_without_replacement_has_them(num_samples):
    trie, chances = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu"), probabilities()
    num_users = 40_000
    rows = draw(trie, num_users, num_samples).row.tolist()
    assert math.isclose(sum(chances.values()), 1, rel_tol=1e-6)
    for drawn in permutations(chances, num_samples):
        expected = chance_of(drawn, chances)
        seen = rows.count(list(drawn)) / num_users
        assert abs(seen - expected) < 5 * math.sqrt(expected / num_users) + 1e-4


def test_a_beam_as_wide_as_the_sample_finds_what_a_beam_as_wide_as_the_catalogue_finds():
    random = np.random.default_rng(3)
    codes = np.stack([random.integers(0, size, 60) for size in SIZES], axis=1)
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES).to("cpu")
    everything = draw(trie, 200, 60)
    assert (everything.row.sort(1).values == torch.arange(60)).all()
    few = draw(trie, 200, 4)
    assert torch.equal(few.row, everything.row[:, :4])
    torch.testing.assert_close(few.score, everything.score[:, :4])
    assert (certified_draws(few) == 4).all()


def test_scores_are_the_log_probabilities_of_the_catalogue():
    trie, chances = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu"), probabilities()
    found = draw(trie, 3, len(CODES))
    for rows, scores in zip(found.row.tolist(), found.score.tolist(), strict=True):
        assert [math.exp(score) for score in scores] == pytest.approx([chances[row] for row in rows], rel=1e-4)


def test_rows_that_a_filter_leaves_out_are_as_if_drawn_and_put_aside():
    trie = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu")
    num_users, denied = 300, [1, 4]
    filters = DenyRows.from_rows(trie, [denied] * num_users)
    everything = draw(trie, num_users, len(CODES))
    found = draw(trie, num_users, len(CODES), filters=filters)
    for drawn, kept in zip(everything.row.tolist(), found.row.tolist(), strict=True):
        assert [row for row in kept if row >= 0] == [row for row in drawn if row not in denied]
    narrow = draw(trie, num_users, 2, filters=filters)
    proven = certified_draws(narrow)
    assert 0 < int((proven < 2).sum()) < num_users  # the test below says something of both kinds of users
    for user, head in enumerate(proven.tolist()):
        assert narrow.row[user, :head].tolist() == found.row[user, :head].tolist()


def test_rows_out_of_stock_leave_their_probability_to_the_others():
    stock = np.ones(len(CODES), dtype=bool)
    stock[[0, 7]] = False
    trie = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu")
    trie = trie.with_stock(Bitmap.from_mask(trie, stock))
    chances = probabilities([row for row in range(len(CODES)) if stock[row]])
    found = draw(trie, 20_000, 1)
    for row, expected in chances.items():
        seen = float((found.row[:, 0] == row).float().mean())
        assert abs(seen - expected) < 5 * math.sqrt(expected / 20_000)
    assert math.isclose(sum(chances.values()), 1, rel_tol=1e-6)


def test_a_seed_draws_the_same_in_any_batch():
    trie = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu")
    together, alone = draw(trie, 5, 3), draw(trie, 1, 3, first_seed=4)
    assert together.row[4].tolist() == alone.row[0].tolist()
    assert together.perturbed[4].tolist() == alone.perturbed[0].tolist()


def test_noise_is_gumbel_and_independent_of_neighbouring_seeds_depths_and_places():
    seed, place = torch.arange(300), torch.arange(300).expand(300, -1)
    noise = gumbel(seed, 1, place)
    assert abs(float(noise.mean()) - 0.5772156649) < 0.02  # Euler's constant
    assert abs(float(noise.var()) - math.pi**2 / 6) < 0.05
    below = torch.exp(-torch.exp(-noise)).flatten().sort().values  # the distribution function makes it uniform
    assert float((below - torch.linspace(0, 1, below.numel())).abs().max()) < 0.01  # Kolmogorov-Smirnov
    for other in (gumbel(seed + 1, 1, place), gumbel(seed, 2, place), gumbel(seed, 1, place + 1)):
        together = torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1]
        assert abs(float(together)) < 0.02


def test_less_than_one_sample_is_refused():
    trie = PrefixTrie.from_codes(CODES, level_sizes=SIZES).to("cpu")
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        draw(trie, 1, 0)
