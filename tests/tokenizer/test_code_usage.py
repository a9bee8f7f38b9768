import math

import numpy as np
import pytest

from tokenizer.code_usage import gini, items_per_prefix, usage_divergence_bits


def plain_gini(counts):
    """Mean absolute difference over all pairs, over twice the mean."""
    differences = [abs(one - other) for one in counts for other in counts]
    return sum(differences) / len(differences) / (2 * sum(counts) / len(counts))


@pytest.mark.parametrize(
    ("counts", "value"), [([4, 4, 4, 4], 0.0), ([0, 0, 0, 4], 0.75), ([1, 3], 0.25), ([0, 1, 1, 2], 0.375)]
)
def test_gini_is_zero_for_even_use_and_one_minus_one_over_codes_for_a_single_code(counts, value):
    assert gini(np.array(counts)) == pytest.approx(value)
    assert plain_gini(counts) == pytest.approx(value)


def test_usage_divergence_is_zero_for_the_same_shares_and_one_bit_without_a_common_code():
    assert usage_divergence_bits(np.array([1, 2, 0]), np.array([10, 20, 0])) == 0
    assert usage_divergence_bits(np.array([5, 0]), np.array([0, 2])) == 1
    # middle (3/4, 1/4): half of log2(4/3), and half of .5 log2(2/3) + .5 log2(2)
    expected = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5)
    assert usage_divergence_bits(np.array([4, 0]), np.array([3, 3])) == pytest.approx(expected)


def test_items_per_prefix_are_those_of_a_plain_count_in_prefix_order():
    codes = np.random.default_rng(0).integers(0, 4, size=(80, 3))
    for length, counts in enumerate(items_per_prefix(codes), start=1):
        prefixes = [tuple(row[:length]) for row in codes.tolist()]
        assert counts.tolist() == [prefixes.count(prefix) for prefix in sorted(set(prefixes))]


def test_a_single_item_is_alone_under_each_prefix():
    assert [counts.tolist() for counts in items_per_prefix(np.array([[3, 1]]))] == [[1], [1]]
