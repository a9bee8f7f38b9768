import numpy as np
import pytest

from tokenizer.projection import principal_axes
from tokenizer.standardisation import Standardisation, checked_embeddings


def test_standardised_columns_have_mean_zero_and_variance_one():
    embeddings = np.array([[1, 10], [3, 30]], dtype=np.float32)
    standardisation = Standardisation.fit(embeddings)
    assert standardisation.apply(embeddings).tolist() == [[-1, -1], [1, 1]]
    assert standardisation.undo(standardisation.apply(embeddings)).tolist() == embeddings.tolist()


def test_a_constant_column_becomes_zero_and_comes_back():
    embeddings = np.array([[0.1, 1], [0.1, 2], [0.1, 3]], dtype=np.float32)
    standardisation = Standardisation.fit(embeddings)
    standardised = standardisation.apply(embeddings)
    assert np.allclose(standardised[:, 0], 0, atol=1e-6)
    assert np.allclose(standardisation.undo(standardised), embeddings)


def test_nan_is_refused_with_its_row():
    embeddings = np.zeros((4, 2), dtype=np.float32)
    embeddings[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 4 .* row 2"):
        checked_embeddings(embeddings)


def test_another_width_is_refused_with_both_widths():
    standardisation = Standardisation.fit(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match=r"fitted on 3-dimensional .* have 2"):
        standardisation.apply(np.zeros((1, 2), dtype=np.float32))


def test_float64_embeddings_are_read_as_float32():
    assert checked_embeddings(np.zeros((1, 2), dtype=np.float64)).dtype == np.float32


def test_principal_axes_are_those_of_the_singular_value_decomposition():
    random = np.random.default_rng(0)
    points = (random.normal(size=(50, 6)) * [5, 4, 3, 2, 1, 0.5]).astype(np.float32)
    axes = principal_axes(points, 3)
    _, _, expected = np.linalg.svd(points.astype(np.float64), full_matrices=False)
    assert np.allclose(np.abs(axes.T @ expected[:3].T), np.eye(3), atol=1e-3)
    assert (axes[np.abs(axes).argmax(axis=0), range(3)] > 0).all()


def test_more_axes_than_dimensions_are_all_dimensions():
    assert principal_axes(np.eye(3, dtype=np.float32), 32).shape == (3, 3)
