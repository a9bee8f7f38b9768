import numpy as np

from tokenizer.distances import nearest, squared_distances


def test_the_nearest_of_equal_codes_is_the_first_for_any_number_of_points():
    random = np.random.default_rng(0)
    codebook = np.tile(random.normal(size=(4, 7)), (3, 1))
    points = random.normal(size=(500, 7))
    together = nearest(points, codebook)
    assert together.max() < 4
    assert [int(nearest(point[None], codebook)[0]) for point in points] == together.tolist()


def test_distances_are_those_of_plain_subtraction():
    random = np.random.default_rng(0)
    points, codebook = random.normal(size=(6, 5)), random.normal(size=(3, 5)).astype(np.float32)
    plain = [[((point - vector) ** 2).sum() for vector in codebook] for point in points]
    assert np.allclose(squared_distances(points, codebook), plain, rtol=1e-12)
