import numpy as np
import pytest

from tokenizer.preparation import Preparation, checked_embeddings


def items(num_items=500, dim=6, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(num_items, dim)) @ random.normal(size=(dim, dim)) * 3 + 7).astype(np.float32)


def test_raw_vectors_stay_what_they_are():
    assert np.array_equal(Preparation.fit(items(), kind="raw").apply(items()), items())


def test_centred_vectors_keep_their_distances():
    prepared = Preparation.fit(items(), kind="centre").apply(items())
    assert np.abs(prepared.mean(axis=0)).max() < 1e-5
    assert np.linalg.norm(prepared[3] - prepared[8]) == pytest.approx(np.linalg.norm(items()[3] - items()[8]), 1e-5)


def test_standardised_dimensions_have_variance_one():
    prepared = Preparation.fit(items(), kind="standardise").apply(items())
    assert np.allclose(prepared.std(axis=0), 1, atol=1e-5)


def test_whitened_axes_are_uncorrelated_with_variance_one():
    prepared = Preparation.fit(items(), kind="whiten").apply(items())
    assert np.allclose(prepared.T @ prepared / len(prepared), np.eye(6), atol=1e-4)


@pytest.mark.parametrize("kind", ["raw", "centre", "standardise", "whiten"])
def test_undoing_gives_the_input_back(kind):
    preparation = Preparation.fit(items(), kind=kind)
    assert np.allclose(preparation.undo(preparation.apply(items())), items(), atol=1e-3)


def test_few_axes_keep_the_directions_of_most_variance():
    flat = np.zeros((100, 3), dtype=np.float32)
    flat[:, 1] = np.linspace(-5, 5, 100)
    flat[:, 2] = np.tile([-1, 1], 50)
    preparation = Preparation.fit(flat, kind="centre", num_axes=1)
    assert preparation.prepared_dim == 1
    assert np.allclose(np.abs(preparation.apply(flat)[:, 0]), np.abs(flat[:, 1]), atol=0.2)


def test_a_constant_dimension_is_left_at_zero():
    constant = np.column_stack([np.full(50, 0.1), np.arange(50)]).astype(np.float32)
    prepared = Preparation.fit(constant, kind="standardise").apply(constant)
    assert np.abs(prepared[:, 0]).max() < 1e-6


@pytest.mark.parametrize("kind", ["raw", "standardise", "whiten"])
def test_its_parts_make_it_again(kind, tmp_path):
    preparation = Preparation.fit(items(), kind=kind)
    again = Preparation.from_arrays(tmp_path, preparation.arrays(), 6, 6 if kind == "whiten" else None)
    assert np.array_equal(again.apply(items()), preparation.apply(items()))


def test_a_row_prepared_alone_is_what_it_is_among_others():
    preparation = Preparation.fit(items(), kind="standardise")
    assert np.array_equal(preparation.apply(items()[4:5])[0], preparation.apply(items())[4])


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"fitted on 6-dimensional .* have 5"):
        Preparation.fit(items(), kind="centre").apply(items()[:, :5])


def test_no_axis_is_refused():
    with pytest.raises(ValueError, match="axes must be at least 1 or None, but is 0"):
        Preparation.fit(items(), kind="centre", num_axes=0)


def test_the_first_row_that_is_not_finite_is_named():
    spoiled = items(20_000)
    spoiled[17_000, 2] = np.nan
    with pytest.raises(ValueError, match="row 17000"):
        checked_embeddings(spoiled)


def test_tables_without_a_dimension_are_refused():
    with pytest.raises(ValueError, match=r"\(items, dim\)"):
        checked_embeddings(np.zeros((5, 0), dtype=np.float32))
