"""Transitions against hand-computed counts and a plain loop over pairs."""

from collections import defaultdict

import numpy as np
import pytest

from genrec.baselines import Transitions, TransitionsConfig
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits, leave_one_out

NOTHING = np.array([], dtype=np.int32)


def interactions_of(*sequences, num_items):
    return Interactions(
        user_ids=np.array([f"u{user}" for user in range(len(sequences))]),
        item_ids=np.array([f"i{row}" for row in range(num_items)]),
        offsets=np.cumsum([0, *map(len, sequences)]).astype(np.int64),
        items=np.concatenate(sequences).astype(np.int32),
        times=None,
    )


def all_training(interactions):
    ends = interactions.offsets[1:]
    return Splits(train_end=ends, validation_end=ends)


def plain_scores(sequences, history, *, num_items, window, max_history_items):
    counts = defaultdict(float)
    for sequence in sequences:
        for i, before in enumerate(sequence):
            for distance in range(1, window + 1):
                if i + distance < len(sequence):
                    counts[before, sequence[i + distance]] += 1 / distance
    newest_first = list(reversed(history))[:max_history_items]
    return [
        sum(counts[item, candidate] / k for k, item in enumerate(newest_first, start=1))
        for candidate in range(num_items)
    ]


def test_pair_at_distance_d_counts_one_over_d_up_to_four():
    interactions = interactions_of([0, 1, 2, 3, 4, 5], num_items=6)
    model = Transitions().fit(interactions, all_training(interactions))
    np.testing.assert_allclose(model.scores([np.array([0])])[0], [0, 1, 1 / 2, 1 / 3, 1 / 4, 0], rtol=1e-6)


def test_k_th_newest_item_counts_one_over_k():
    interactions = interactions_of([0, 3], [1, 4], [2, 5], num_items=6)
    model = Transitions().fit(interactions, all_training(interactions))
    np.testing.assert_allclose(model.scores([np.array([0, 1, 2])])[0], [0, 0, 0, 1 / 3, 1 / 2, 1], rtol=1e-6)


def test_only_training_parts_are_counted_and_no_pair_joins_two_users():
    interactions = interactions_of([0, 1, 2, 3], [4, 5, 0, 0], num_items=6)
    model = Transitions().fit(interactions, leave_one_out(interactions))
    scores = model.scores([np.array([row]) for row in range(6)])
    assert np.argwhere(scores).tolist() == [[0, 1], [4, 5]]


def test_sums_that_are_equal_on_paper_tie():
    # item 1 comes right after 0 once; item 2 comes at distance three, three times
    interactions = interactions_of([0, 1], *[[0, 3 + user, 6 + user, 2] for user in range(3)], num_items=9)
    scores = Transitions().fit(interactions, all_training(interactions)).scores([np.array([0])])[0]
    assert scores[1] == scores[2] == 1.0


def test_scores_equal_a_plain_loop_over_pairs():
    generator = np.random.default_rng(1)
    sequences = [generator.integers(0, 12, size=size).tolist() for size in (1, 2, 5, 9, 30)]
    histories = [generator.integers(0, 12, size=size) for size in (1, 3, 6, 20)]
    interactions = interactions_of(*sequences, num_items=12)
    config = TransitionsConfig(window=3, max_history_items=4)
    scores = Transitions(config).fit(interactions, all_training(interactions)).scores(histories)
    for found, history in zip(scores, histories, strict=True):
        plain = plain_scores(sequences, history.tolist(), num_items=12, window=3, max_history_items=4)
        np.testing.assert_allclose(found, plain, rtol=1e-6)


def test_empty_history_scores_zero_beside_others():
    interactions = interactions_of([0, 1], num_items=2)
    scores = Transitions().fit(interactions, all_training(interactions)).scores([NOTHING, np.array([0]), NOTHING])
    assert scores.tolist() == [[0, 0], [0, 1], [0, 0]]
    assert scores.dtype == np.float32


def test_data_without_one_pair_scores_zero():
    interactions = interactions_of([0], [1], num_items=2)
    scores = Transitions().fit(interactions, all_training(interactions)).scores([np.array([0])])
    assert scores.tolist() == [[0, 0]]


def test_scoring_before_fitting_and_bad_settings_are_errors():
    with pytest.raises(ValueError, match="call fit"):
        Transitions().scores([np.array([0])])
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        TransitionsConfig(window=0)
