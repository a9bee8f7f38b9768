import numpy as np
import pytest

from tokenizer.product_codebooks import learned_rotation, move_empty_codes


def test_a_rotation_step_is_that_of_plain_loops():
    """Two parts of one dimension, two codes: assign, average, and turn the points onto their codes."""
    points = np.random.default_rng(0).normal(size=(30, 2)) * [3, 1]
    rotation = learned_rotation(points, 2, 2, seed=3, iterations=1)
    start = np.linalg.qr(np.random.default_rng(3).normal(size=(2, 2)))[0]
    restored = np.zeros((30, 2))
    for part in range(2):
        values = points @ start[:, part]
        codes = [int(abs(value - values[1]) < abs(value - values[0])) for value in values]
        means = [np.mean([value for value, code in zip(values, codes, strict=True) if code == c]) for c in (0, 1)]
        restored[:, part] = [means[code] for code in codes]

    def cost(angle, flip):
        cos, sin = np.cos(angle), np.sin(angle)
        return np.square(points @ np.array([[cos, -sin * flip], [sin, cos * flip]]) - restored).sum()

    best = min(cost(angle, flip) for angle in np.linspace(0, 2 * np.pi, 5000) for flip in (1, -1))
    assert np.square(points @ rotation - restored).sum() == pytest.approx(best, rel=1e-4)
    assert np.square(points @ rotation - restored).sum() <= best * (1 + 1e-6)


def test_a_code_that_no_point_has_moves_onto_the_worst_served_point():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 9.0]])
    codebook = np.array([[0, 0], [500, 500]], dtype=np.float32)
    assert move_empty_codes(codebook, points).tolist() == [[0, 0], [0, 9]]


def test_codes_stay_empty_where_points_are_all_alike():
    assert move_empty_codes(np.zeros((3, 2), dtype=np.float32), np.zeros((9, 2))).tolist() == [[0, 0]] * 3
