import numpy as np
import pytest
import torch

from genrec.training.content_start import content_start
from genrec.training.loop_config import TrainingConfig

CONTENT = np.random.default_rng(5).normal(size=(300, 12)).astype(np.float32) * np.linspace(3, 0.1, 12) + 4


def distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)


def test_items_keep_their_distances_up_to_one_factor_where_every_axis_fits():
    torch.manual_seed(0)
    vectors = content_start(CONTENT, width=16, scale=0.1)
    assert vectors.shape == (300, 16) and vectors.dtype == np.float32
    assert np.sqrt(np.square(vectors).mean()) == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-6)
    before, after = distances(CONTENT), distances(vectors)
    np.testing.assert_allclose(after, before * (after.sum() / before.sum()), rtol=1e-4, atol=1e-5)


def test_with_more_axes_than_width_the_strongest_stay_and_every_dimension_has_its_part_of_them():
    torch.manual_seed(0)
    vectors = content_start(CONTENT, width=4, scale=1.0)
    centred = CONTENT - CONTENT.mean(0)
    _, sizes, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    kept = distances(centred @ axes[:4].T)
    found = distances(vectors)
    np.testing.assert_allclose(found / found.mean(), kept / kept.mean(), rtol=1e-4, atol=1e-5)
    spread = vectors.std(0)
    assert spread.max() / spread.min() < sizes[0] / sizes[3]


def test_a_seed_decides_the_turn_and_content_that_does_not_vary_gives_zeros():
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(content_start(CONTENT, width=8, scale=0.1))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    assert not content_start(np.ones((5, 3), dtype=np.float32), width=4, scale=0.1).any()


def test_a_scale_below_zero_is_refused():
    with pytest.raises(ValueError, match="content_start must be at least 0, got -1"):
        TrainingConfig(content_start=-1.0)


def test_the_generator_begins_with_them(small_generator):
    generator = small_generator()
    vectors = np.full(generator.embedding.item_vectors.weight.shape, 0.25, dtype=np.float32)
    generator.embedding.start_at(vectors)
    assert (generator.embedding.item_vectors.weight == 0.25).all()
    generator.embedding.item_vectors = None
    generator.embedding.start_at(vectors)  # nothing to begin with
