import numpy as np
import pytest

from genrec.data.collaborative import (
    CollaborativeConfig,
    TrainingSequences,
    co_occurrences,
    collaborative_vectors,
    first_appearances,
    positive_information,
    training_sequences,
)
from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out


def sequences_of(*users):
    items = np.array([item for user in users for item in user])
    return TrainingSequences(items, np.concatenate([[0], np.cumsum([len(user) for user in users])]))


def interactions_of(users, num_items):
    sequences = sequences_of(*users)
    return Interactions(
        np.array([f"u{user:02d}" for user in range(len(users))]),
        np.array([f"i{item:02d}" for item in range(num_items)]),
        sequences.offsets.astype(np.int64),
        sequences.items.astype(np.int32),
    )


@pytest.fixture(scope="module")
def two_circles():
    """Items 0..19 follow each other in any order, and so do 20..39; item 40 is never taken, item 41 alone."""
    random = np.random.default_rng(0)
    users = [random.permutation(20)[:8] + 20 * (user % 2) for user in range(200)]
    return sequences_of(*users, [41])


def test_a_pair_d_steps_apart_counts_one_over_d_in_both_directions():
    counts = co_occurrences(sequences_of([0, 1, 2], [1, 0]), 4, window=2).toarray()
    # 0-1: next to each other twice; 1-2: once; 0-2: two steps apart once; users never meet
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2
    expected[1, 2] = expected[2, 1] = 1
    expected[0, 2] = expected[2, 0] = 0.5
    assert counts.tolist() == expected.tolist()


def test_counting_pairs_equals_a_triple_loop():
    random = np.random.default_rng(1)
    users = [random.integers(0, 12, size=length) for length in (0, 1, 9, 5, 14)]
    expected = np.zeros((12, 12))
    for user in users:
        for here in range(len(user)):
            for there in range(len(user)):
                if user[here] != user[there] and 0 < abs(here - there) <= 4:
                    expected[user[here], user[there]] += 1 / abs(here - there)
    assert np.allclose(co_occurrences(sequences_of(*users), 12, window=4).toarray(), expected)


def test_information_is_the_log_of_the_pair_over_chance_and_never_negative():
    counts = co_occurrences(sequences_of([0, 1, 2], [1, 0]), 3, window=2)
    information = positive_information(counts).toarray()
    # totals 2.5, 3, 1.5 of 7: log(2 * 7 / (2.5 * 3)) for the pair 0-1, log(1 * 7 / (3 * 1.5)) for 1-2
    assert information[0, 1] == pytest.approx(np.log(14 / 7.5))
    assert information[1, 2] == pytest.approx(np.log(7 / 4.5))
    assert information[0, 2] == 0  # log(0.5 * 7 / (2.5 * 1.5)) is below 0
    assert np.array_equal(information, information.T)


@pytest.mark.parametrize("num_items", [42, 600])
def test_items_taken_together_are_near_and_others_far(two_circles, num_items):
    # 600: beyond the size up to which the matrix is decomposed whole
    vectors, _ = collaborative_vectors(two_circles, num_items, config=CollaborativeConfig(dim=8), seed=0)
    cosines = vectors[:40] @ vectors[:40].T
    assert cosines[:20, :20].mean() > 0.5 and cosines[20:, 20:].mean() > 0.5
    assert np.abs(cosines[:20, 20:]).max() < 0.01


def test_vectors_have_length_one_and_items_without_neighbours_are_unseen_zeros(two_circles):
    vectors, seen = collaborative_vectors(two_circles, 42, config=CollaborativeConfig(dim=8), seed=0)
    assert vectors.shape == (42, 8) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:40], axis=1), 1)
    assert not vectors[40:].any()
    assert np.flatnonzero(~seen).tolist() == [40, 41]


def large_sequences():
    """So many items that the iterative solver is used."""
    random = np.random.default_rng(2)
    start = random.integers(0, 400, size=1000)
    return sequences_of(*[(at + random.integers(0, 15, size=9)) % 400 for at in start])


def test_the_iterative_decomposition_explains_the_matrix_as_well_as_the_whole_one():
    sequences = large_sequences()
    information = positive_information(co_occurrences(sequences, 400, window=4)).toarray()
    left, strengths, _ = np.linalg.svd(information)
    whole = left[:, :16] * np.sqrt(strengths[:16])
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    vectors, _ = collaborative_vectors(sequences, 400, config=CollaborativeConfig(dim=16), seed=0)
    assert np.abs(vectors @ vectors.T - whole @ whole.T).max() < 1e-4


def test_the_same_sequences_give_the_same_bits():
    first, second = (
        collaborative_vectors(large_sequences(), 400, config=CollaborativeConfig(dim=16), seed=0).vectors
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_the_order_of_the_users_moves_nothing_but_rounding():
    sequences = large_sequences()
    users = np.split(sequences.items, sequences.offsets[1:-1])
    config = CollaborativeConfig(dim=16)
    vectors = collaborative_vectors(sequences, 400, config=config, seed=0).vectors
    turned = collaborative_vectors(sequences_of(*users[::-1]), 400, config=config, seed=0).vectors
    assert np.allclose(vectors, turned, atol=1e-4)


def test_the_largest_entry_of_every_axis_is_positive():
    sequences = large_sequences()
    vectors, _ = collaborative_vectors(sequences, 400, config=CollaborativeConfig(dim=4), seed=0)
    other, _ = collaborative_vectors(sequences, 400, config=CollaborativeConfig(dim=4), seed=1)
    assert np.allclose(vectors, other, atol=1e-3)  # another start vector would otherwise turn signs


def test_held_out_items_never_matter():
    random = np.random.default_rng(3)
    users = [random.integers(0, 30, size=10) for _ in range(60)]
    others = [np.concatenate([user[:-2], random.integers(0, 30, size=2)]) for user in users]
    assert any(user[-1] != other[-1] for user, other in zip(users, others, strict=True))
    vectors, places = [], []
    for each in (users, others):
        interactions = interactions_of(each, 30)
        sequences = training_sequences(interactions, leave_one_out(interactions))
        assert np.diff(sequences.offsets).tolist() == [8] * 60
        vectors.append(collaborative_vectors(sequences, 30, config=CollaborativeConfig(dim=8), seed=0).vectors)
        places.append(first_appearances(sequences, 30))
    assert vectors[0].tobytes() == vectors[1].tobytes()
    assert np.array_equal(*places)


def test_training_sequences_end_where_the_validation_begins():
    interactions = interactions_of([[0, 1, 2, 3], [4], [2, 1, 0]], 5)
    sequences = training_sequences(interactions, leave_one_out(interactions))
    assert sequences.items.tolist() == [0, 1, 4, 2]
    assert sequences.offsets.tolist() == [0, 2, 3, 4]


def test_items_are_numbered_by_their_first_appearance_then_by_row():
    assert first_appearances(sequences_of([3, 1, 3], [0, 1, 5]), 7).tolist() == [2, 1, 4, 0, 5, 3, 6]


def test_sequences_of_one_item_have_no_neighbours():
    with pytest.raises(ValueError, match="than chance would have it"):
        collaborative_vectors(sequences_of([0], [1]), 2, config=CollaborativeConfig(), seed=0)


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"window": 0}, {"ridge": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CollaborativeConfig(**wrong)
