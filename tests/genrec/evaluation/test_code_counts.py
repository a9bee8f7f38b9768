"""NLL by counts against probabilities worked out by hand, and against a plain loop over dictionaries."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out, test_cases
from genrec.evaluation.code_counts import Pairs, case_pairs, counted_nll, training_pairs

CODES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def pairs(*items):
    before, targets = zip(*items, strict=True)
    return Pairs(np.array(before), np.array(targets))


def probabilities(training, case, sizes=(4, 4), codes=CODES):
    found = counted_nll(codes, sizes, training=pairs(*training), cases=pairs(case))
    return np.exp(-found.by_prefix)[0].tolist(), np.exp(-found.by_prefix_and_last_item)[0].tolist()


def test_probabilities_worked_out_by_hand():
    by_prefix, by_both = probabilities([(0, 0), (0, 0), (0, 2)], (0, 0))
    # first code: 0 twice and 1 once of three, two kinds; uniform is 1/4: (2 + 2 / 4) / (3 + 2) = 1/2
    # after item 0, whose first code is 0, the same three: (2 + 2 * 1/2) / (3 + 2) = 3/5
    assert by_prefix[0] == pytest.approx(1 / 2)
    assert by_both[0] == pytest.approx(3 / 5)
    # second code: 0 always, one kind: (3 + 1 / 4) / (3 + 1) = 13/16; after the first code 0: (2 + 13/16) / (2 + 1)
    assert by_prefix[1] == pytest.approx((2 + 13 / 16) / 3)
    # and after a last item with the second code 0: (2 + that) / (2 + 1)
    assert by_both[1] == pytest.approx((2 + (2 + 13 / 16) / 3) / 3)


def test_contexts_that_were_never_seen_say_what_shorter_ones_say():
    by_prefix, by_both = probabilities([(0, 0), (0, 0)], (3, 3))
    assert by_prefix[0] == by_both[0] == pytest.approx((0 + 1 / 4) / 3)
    assert by_prefix[1] == by_both[1] == pytest.approx((0 + 1 / 4) / 3)


def plain_probability(training, before, target, level, codes, sizes, *, with_last):
    probability = 1 / sizes[level]
    contexts = [lambda b, t: (), lambda b, t: tuple(codes[t][:level])]
    if with_last:
        contexts.append(lambda b, t: (*codes[t][:level], codes[b][level]))
    for context in contexts[:1] + contexts[1:] if level else contexts[:1] + contexts[2:]:
        counts = Counter(int(codes[t][level]) for b, t in training if context(b, t) == context(before, target))
        kinds = max(len(counts), 1)
        probability = (counts[int(codes[target][level])] + kinds * probability) / (counts.total() + kinds)
    return probability


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_counts_agree_with_a_loop_over_dictionaries(training, case):
    codes, sizes = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 2], [0, 1, 2], [2, 0, 0]]), (3, 2, 4)
    by_prefix, by_both = probabilities(training, case, sizes, codes)
    for level in range(3):
        plain = [
            plain_probability(training, *case, level, codes, sizes, with_last=with_last) for with_last in (False, True)
        ]
        assert [by_prefix[level], by_both[level]] == pytest.approx(plain)


def test_probabilities_of_all_codes_of_a_level_sum_to_one():
    training = [(0, 0), (0, 2), (1, 2), (3, 1), (2, 2)]
    codes = np.array([[code] for code in range(5)])
    for before in range(5):
        found = [probabilities(training, (before, target), (5,), codes) for target in range(5)]
        assert math.fsum(by_prefix[0] for by_prefix, _ in found) == pytest.approx(1)
        assert math.fsum(by_both[0] for _, by_both in found) == pytest.approx(1)


def test_training_pairs_stay_within_users_and_before_the_validation_item():
    interactions = Interactions(
        user_ids=np.array(["a", "b"]),
        item_ids=np.array(list("ijklm")),
        offsets=np.array([0, 5, 8]),
        items=np.array([0, 1, 2, 3, 4, 4, 3, 2], dtype=np.int32),
    )
    splits = leave_one_out(interactions)
    training, cases = training_pairs(interactions, splits), case_pairs(interactions, test_cases(interactions, splits))
    assert list(zip(*training, strict=True)) == [(0, 1), (1, 2)]
    assert list(zip(*cases, strict=True)) == [(3, 4), (3, 2)]
