import numpy as np
import pytest

from tokenizer.kmeans import kmeans_codebook, move_unused_codes, residual_codebooks


def test_two_far_pairs_of_points_give_their_two_midpoints():
    points = np.array([[0, 0], [0, 2], [10, 0], [10, 2]], dtype=np.float32)
    codebook = kmeans_codebook(points, 2, seed=0)
    assert sorted(codebook.tolist()) == [[0, 1], [10, 1]]


def test_the_same_seed_gives_the_same_codebook_and_another_seed_another():
    points = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    assert np.array_equal(kmeans_codebook(points, 16, seed=3), kmeans_codebook(points, 16, seed=3))
    assert not np.array_equal(kmeans_codebook(points, 16, seed=3), kmeans_codebook(points, 16, seed=4))


def test_fewer_points_than_codes_is_refused_with_the_size_to_use():
    with pytest.raises(ValueError, match="codebook_size of at most 3"):
        kmeans_codebook(np.eye(3, dtype=np.float32), 4, seed=0)


def test_an_unused_code_moves_onto_the_point_farthest_from_its_code():
    points = np.array([[0, 0], [1, 0], [0, 9]], dtype=np.float32)
    codebook = np.array([[0, 0], [500, 500]], dtype=np.float32)
    assert move_unused_codes(codebook, points).tolist() == [[0, 0], [0, 9]]


def test_codes_stay_unused_only_where_points_are_too_few():
    points = np.repeat(np.array([[0, 0], [4, 0], [0, 4]], dtype=np.float32), 5, axis=0)
    codebook = kmeans_codebook(points, 6, seed=0)
    used = {int(((codebook - point) ** 2).sum(axis=1).argmin()) for point in points}
    assert len(used) == 3
    assert np.isfinite(codebook).all()


def test_each_level_is_given_what_the_levels_before_left_over():
    points = np.array([[1.0], [3.0], [11.0], [13.0]], dtype=np.float32)
    books = {0: np.array([[2.0], [12.0]], dtype=np.float32), 1: np.array([[-1.0], [1.0]], dtype=np.float32)}
    seen = {}

    def one_codebook(residuals, level):
        seen[level] = residuals.ravel().tolist()
        return books[level]

    codebooks = residual_codebooks(points, 2, one_codebook)
    assert seen == {0: [1, 3, 11, 13], 1: [-1, 1, -1, 1]}
    assert codebooks.shape == (2, 2, 1)
