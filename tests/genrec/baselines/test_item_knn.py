"""ItemKNN against hand-computed cosines and a plain loop over sets of users."""

import math

import numpy as np
import pytest

from genrec.baselines import ItemKNN, ItemKNNConfig, item_knn
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


def fitted(*sequences, num_items, **settings):
    interactions = interactions_of(*sequences, num_items=num_items)
    ends = interactions.offsets[1:]
    return ItemKNN(ItemKNNConfig(**settings)).fit(interactions, Splits(train_end=ends, validation_end=ends))


def plain_scores(sequences, history, *, num_items, config):
    users = [{user for user, sequence in enumerate(sequences) if item in sequence} for item in range(num_items)]
    scores = [0.0] * num_items
    for item in set(history[-config.max_history_items :]):
        similarities = {
            other: len(users[item] & users[other])
            / (math.sqrt(len(users[item]) * len(users[other])) + config.shrinkage)
            for other in range(num_items)
            if other != item and users[item] & users[other]
        }
        strongest = sorted(similarities.values(), reverse=True)[: config.num_neighbours]
        for other, similarity in similarities.items():
            if similarity >= strongest[-1]:
                scores[other] += similarity
    return scores


def test_similarity_is_the_cosine_of_the_sets_of_users():
    model = fitted([0, 1], [0, 1], [0, 2], [1], num_items=4, shrinkage=0.0)
    # item 0 has users 0-2, item 1 users 0, 1, 3, item 2 user 2; an item is no neighbour of itself
    np.testing.assert_allclose(model.scores([np.array([0])])[0], [0, 2 / 3, 1 / math.sqrt(3), 0], rtol=1e-6)


def test_shrinkage_is_added_to_the_denominator():
    model = fitted([0, 1], [0, 1], [0, 2], [1], num_items=4, shrinkage=1.0)
    np.testing.assert_allclose(model.scores([np.array([0])])[0], [0, 2 / 4, 1 / (math.sqrt(3) + 1), 0], rtol=1e-6)


def test_repeats_by_one_user_and_in_the_history_count_once():
    once, often = fitted([0, 1], [1, 2], num_items=3), fitted([0, 1, 0, 1, 0], [1, 2, 2], num_items=3)
    np.testing.assert_array_equal(once.scores([np.array([1])]), often.scores([np.array([1, 1, 1])]))


def test_only_the_nearest_neighbours_are_kept_and_ties_with_the_last_are_not_cut():
    sequences = [[0, 1], [0, 1], [0, 2], [0, 3], [0, 4], [4], [4]]
    one = fitted(*sequences, num_items=5, shrinkage=0.0, num_neighbours=1).scores([np.array([0])])
    two = fitted(*sequences, num_items=5, shrinkage=0.0, num_neighbours=2).scores([np.array([0])])
    assert np.flatnonzero(one[0]).tolist() == [1]
    assert np.flatnonzero(two[0]).tolist() == [1, 2, 3]  # 2 and 3 are equally near, 4 is farther


def test_only_the_newest_items_are_asked():
    model = fitted([0, 3], [1, 4], [2, 5], num_items=6, max_history_items=2)
    assert np.flatnonzero(model.scores([np.array([0, 1, 2])])[0]).tolist() == [4, 5]


def test_only_training_parts_are_counted():
    interactions = interactions_of([0, 1, 2, 3], num_items=4)
    model = ItemKNN().fit(interactions, leave_one_out(interactions))
    assert np.argwhere(model.scores([np.array([row]) for row in range(4)])).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("items_at_once", [1, 7, 512])
def test_scores_equal_a_plain_loop_over_sets_for_any_slice_of_items(monkeypatch, items_at_once):
    monkeypatch.setattr(item_knn, "ITEMS_AT_ONCE", items_at_once)
    generator = np.random.default_rng(2)
    sequences = [generator.integers(0, 20, size=size).tolist() for size in (1, 3, 4, 6, 9, 9, 25)]
    histories = [generator.integers(0, 20, size=size) for size in (1, 4, 15)]
    config = ItemKNNConfig(num_neighbours=3, shrinkage=2.0, max_history_items=6)
    interactions = interactions_of(*sequences, num_items=20)
    ends = interactions.offsets[1:]
    scores = ItemKNN(config).fit(interactions, Splits(train_end=ends, validation_end=ends)).scores(histories)
    for found, history in zip(scores, histories, strict=True):
        plain = plain_scores(sequences, history.tolist(), num_items=20, config=config)
        np.testing.assert_allclose(found, plain, rtol=1e-6)


def test_empty_history_scores_zero():
    assert fitted([0, 1], num_items=2).scores([NOTHING]).tolist() == [[0, 0]]


def test_scoring_before_fitting_and_bad_settings_are_errors():
    with pytest.raises(ValueError, match="call fit"):
        ItemKNN().scores([np.array([0])])
    with pytest.raises(ValueError, match="num_neighbours must be at least 1, got 0"):
        ItemKNNConfig(num_neighbours=0)
    with pytest.raises(ValueError, match="shrinkage"):
        ItemKNNConfig(shrinkage=-1.0)
