import math
from collections import Counter

import numpy as np
import pytest

from tokenizer import agreement, health
from tokenizer.agreement import category_agreement


def plain_nmi(codes, categories):
    """Mutual information over the mean of the two entropies, from counts of pairs."""
    total = len(codes)

    def entropy(groups):
        return -sum(count / total * math.log(count / total) for count in Counter(groups).values())

    pairs = list(zip(codes, categories, strict=True))
    mutual = entropy(codes) + entropy(categories) - entropy(pairs)
    return mutual / ((entropy(codes) + entropy(categories)) / 2)


def test_identical_groups_agree_fully_whatever_they_are_called():
    found = category_agreement(np.array([5, 5, 1, 1, 9]), ["ink", "ink", "pen", "pen", "tin"])
    assert found is not None
    assert (found.normalised, found.adjusted, found.num_items) == (1.0, 1.0, 5)


def test_independent_groups_do_not_agree():
    found = category_agreement(np.array([0, 0, 1, 1]), ["ink", "pen", "ink", "pen"])
    assert found is not None and found.normalised == pytest.approx(0, abs=1e-9)


def test_random_codes_agree_by_chance_in_nmi_but_not_when_adjusted():
    random = np.random.default_rng(0)
    shelves = [f"shelf {number}" for number in random.integers(0, 50, size=2000)]
    few = category_agreement(random.integers(0, 4, size=2000), shelves)
    many = category_agreement(random.integers(0, 256, size=2000), shelves)
    assert few is not None and many is not None
    assert few.normalised < 0.05 < 0.4 < many.normalised
    assert abs(few.adjusted) < 0.02 and abs(many.adjusted) < 0.02


def test_agreement_is_mutual_information_over_the_mean_entropy():
    codes, categories = [0, 0, 0, 1, 1, 2], list("aababb")
    found = category_agreement(np.array(codes), categories)
    assert found is not None and found.normalised == pytest.approx(plain_nmi(codes, categories))


def test_items_of_unknown_category_are_left_out():
    found = category_agreement(np.array([0, 0, 1, 1, 0, 1]), ["ink", "ink", "pen", "pen", "", ""])
    assert found is not None and (found.normalised, found.num_items) == (1.0, 4)


def test_fewer_than_two_known_categories_have_no_agreement():
    assert category_agreement(np.array([0, 1, 0]), ["ink", "ink", ""]) is None
    assert category_agreement(np.array([0, 1, 0]), ["", "", ""]) is None


def test_the_adjusted_figure_of_a_sample_is_close_to_that_of_all(monkeypatch):
    random = np.random.default_rng(0)
    codes = random.integers(0, 16, size=8000)
    shelves = np.array([f"shelf {number}" for number in (codes + random.integers(0, 3, size=8000)) % 16])
    whole = category_agreement(codes, shelves)
    monkeypatch.setattr(agreement, "ADJUSTED_ITEMS", 4000)
    sampled, again = category_agreement(codes, shelves), category_agreement(codes, shelves)
    assert whole is not None and sampled is not None
    assert sampled == again
    assert sampled.normalised == whole.normalised
    assert sampled.adjusted == pytest.approx(whole.adjusted, abs=0.02)


def test_health_judges_the_first_level():
    codes = np.array([[0, 3], [0, 1], [1, 3], [1, 1]])
    figures = health(codes, (2, 4), categories=["ink", "ink", "pen", "pen"])
    assert figures.category_agreement == figures.category_agreement_adjusted == 1.0
    assert health(codes, (2, 4)).category_agreement is None


def test_another_number_of_categories_is_refused():
    with pytest.raises(ValueError, match="each of the 3 items, but got 2"):
        category_agreement(np.array([0, 1, 0]), ["ink", "pen"])
