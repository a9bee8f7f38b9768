"""Even use of the last codes: prices against a plain Sinkhorn, the assignment against all permutations."""

from collections import defaultdict
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from tokenizer import SemanticIDs, balance
from tokenizer.balance import balanced, code_prices
from tokenizer.code_groups import in_hash_order


def plain_sinkhorn(distances, temperature, rounds=2000):
    """Two potentials, each in turn set so that its marginals are met; no annealing, no tolerance."""
    num_items, num_codes = distances.shape
    of_codes = np.zeros(num_codes)
    for _ in range(rounds):
        of_items = temperature * (-np.log(num_items) - logsumexp((of_codes - distances) / temperature, axis=1))
        plan = (of_items[:, None] - distances) / temperature
        of_codes = temperature * (-np.log(num_codes) - logsumexp(plan, axis=0))
    return of_codes


def skewed_points(num_items, num_codes, *, dim=8):
    """Items crowd around the first of the codes: most have few items near."""
    random = np.random.default_rng(7)
    codes = random.normal(size=(num_codes, dim))
    nearest = np.minimum(random.geometric(0.2, size=num_items) - 1, num_codes - 1)
    points = codes[nearest] + 0.5 * random.normal(size=(num_items, dim))
    return np.square(points[:, None] - codes).sum(axis=2)


def perplexity_share(codes, num_codes):
    shares = np.bincount(codes, minlength=num_codes) / len(codes)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum())) / num_codes


def test_prices_are_those_of_a_plain_sinkhorn():
    distances = skewed_points(600, 5)
    spread = (distances.mean(axis=1) - distances.min(axis=1)).mean()
    prices, expected = code_prices(distances), plain_sinkhorn(distances, 0.01 * spread)
    assert np.ptp(expected) > 1.5 * spread
    assert np.abs((prices - prices.mean()) - (expected - expected.mean())).max() < 0.01 * spread


def test_with_prices_the_sixteen_codes_are_in_even_use_that_were_not_before():
    distances = skewed_points(4000, 16)
    before, after = distances.argmin(axis=1), (distances - code_prices(distances)).argmin(axis=1)
    assert perplexity_share(before, 16) == pytest.approx(0.756, abs=0.005)
    assert perplexity_share(after, 16) > 0.9995
    counts = np.bincount(after, minlength=16)
    assert counts.min() > 0.95 * 250 and counts.max() < 1.05 * 250


def test_balanced_codes_are_even_and_of_their_own_though_a_third_of_the_items_collided():
    distances = skewed_points(1500, 16)
    first = np.random.default_rng(1).integers(0, 300, size=1500)
    codes = np.column_stack([first, distances.argmin(axis=1)])
    item_ids = [f"item {row}" for row in range(1500)]
    kept = SemanticIDs.from_codes(codes, level_sizes=(300, 16), collisions="keep")
    ids = SemanticIDs.from_codes(
        codes,
        level_sizes=(300, 16),
        item_ids=item_ids,
        collisions="balanced",
        last_level_distances=lambda rows: distances[rows],
    )
    assert kept.num_sharing == 561
    assert (ids.id_length, ids.num_sharing) == (2, 0)
    assert perplexity_share(codes[:, 1], 16) < 0.76
    assert perplexity_share(ids.codes[:, 1], 16) > 0.99


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.lists(st.integers(0, 5), min_size=4, max_size=4)), min_size=1, max_size=14)
)
def test_under_a_prefix_the_cost_is_the_least_of_all_permutations(rows):
    """Four at a time by hash where a prefix has more than four items: the rest are assigned among themselves."""
    distances = np.array([measured for _, measured in rows], dtype=np.float64)
    codes = np.array([[prefix, 0] for prefix, _ in rows], dtype=np.int32)
    item_ids = np.array([f"item {row}" for row in range(len(rows))])
    order = in_hash_order(np.arange(len(rows)), item_ids)
    costs = distances - code_prices(distances[order])
    chosen = balanced(codes, 4, distances=lambda rows: distances[rows], item_ids=item_ids)
    assert chosen[:, 0].tolist() == codes[:, 0].tolist()

    of_prefix = defaultdict(list)
    for row in order:
        of_prefix[codes[row, 0]].append(row)
    for members in of_prefix.values():
        for start in range(0, len(members), 4):
            crowd = members[start : start + 4]
            least = min(costs[crowd, list(choice)].sum() for choice in permutations(range(4), len(crowd)))
            assert len(set(chosen[crowd, 1])) == len(crowd)
            assert costs[crowd, chosen[crowd, 1]].sum() == pytest.approx(least, abs=1e-9)


def test_five_items_under_a_prefix_of_four_codes_are_kept_and_two_share_a_code_until_the_extra_one():
    distances = np.random.default_rng(3).random((5, 4))
    ids = SemanticIDs.from_codes(
        np.zeros((5, 2), dtype=int),
        level_sizes=(1, 4),
        collisions="balanced",
        last_level_distances=lambda rows: distances[rows],
    )
    assert sorted(np.bincount(ids.codes[:, 1], minlength=4).tolist()) == [1, 1, 1, 2]
    assert ids.level_sizes == (1, 4, 2)
    assert ids.num_sharing == 0


@pytest.mark.parametrize("distances", [np.ones((20, 4)), np.random.default_rng(0).random((3, 4))])
def test_without_a_difference_or_with_fewer_items_than_codes_nothing_has_a_price(distances):
    assert code_prices(distances).tolist() == [0, 0, 0, 0]


def test_a_code_that_is_far_from_all_items_gets_its_share_without_a_warning(recwarn):
    distances = np.column_stack([skewed_points(400, 3), np.full(400, 1e6)])
    counts = np.bincount((distances - code_prices(distances)).argmin(axis=1), minlength=4)
    assert not list(recwarn)
    assert counts[3] > 0


def test_prices_may_be_fitted_on_a_sample(monkeypatch):
    distances = skewed_points(4000, 16)
    codes = np.column_stack([np.arange(4000), distances.argmin(axis=1)]).astype(np.int32)
    monkeypatch.setattr(balance, "PRICED_ITEMS", 1000)
    chosen = balanced(codes, 16, distances=lambda rows: distances[rows], item_ids=None)
    assert perplexity_share(chosen[:, 1], 16) > 0.99
