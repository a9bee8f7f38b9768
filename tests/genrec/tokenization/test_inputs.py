import numpy as np
import pytest

from genrec.data.collaborative import CollaborativeConfig, TrainingSequences
from genrec.tokenization.inputs import Blend, Collaborative


@pytest.fixture
def content():
    scales = np.array([1, 10, 0.1, 3, 0])  # the last column is constant
    return (np.random.default_rng(0).normal(size=(300, 5)) * scales + 7).astype(np.float32)


@pytest.fixture
def vectors():
    return np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32) * 4


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.75])
def test_the_parts_of_a_blend_have_their_shares_of_the_variance(content, vectors, weight):
    blended = Blend.fit(content, vectors, weight=weight).apply(content, vectors)
    assert blended.shape == (300, 8)
    variances = blended.var(axis=0, dtype=np.float64)
    assert variances[:5].sum() == pytest.approx(1 - weight, rel=1e-4)
    assert variances[5:].sum() == pytest.approx(weight, rel=1e-4)
    assert np.allclose(variances[:4], (1 - weight) / 4, rtol=1e-4)  # content is standardised by dimension


def test_a_blend_maps_later_items_as_it_did_the_first_ones(content, vectors):
    blend = Blend.fit(content, vectors, weight=0.5)
    assert np.array_equal(blend.apply(content, vectors)[40:50], blend.apply(content[40:50], vectors[40:50]))


def test_a_part_that_is_the_same_for_all_items_counts_for_nothing(content):
    equal = np.ones((300, 3), dtype=np.float32)
    assert not Blend.fit(content, equal, weight=0.5).apply(content, equal)[:, 5:].any()


@pytest.fixture
def collaborative(content):
    random = np.random.default_rng(2)
    items = np.concatenate([random.permutation(20)[:8] for _ in range(50)])  # items 20..299 are never taken
    sequences = TrainingSequences(items, np.arange(51) * 8)
    return Collaborative.fit(sequences, content, CollaborativeConfig(dim=4), seed=0)


def test_unseen_items_get_what_the_content_map_predicts(collaborative, content):
    assert np.array_equal(collaborative.vectors[20:], collaborative.content_map.predict(content[20:]))
    assert np.allclose(np.linalg.norm(collaborative.vectors, axis=1), 1)


def test_what_is_loaded_is_what_was_saved(collaborative, content, tmp_path):
    collaborative.save(tmp_path / "collaborative")
    loaded = Collaborative.load(tmp_path / "collaborative")
    assert loaded.vectors.tobytes() == collaborative.vectors.tobytes()
    predicted = [each.content_map.predict(content) for each in (loaded, collaborative)]
    assert predicted[0].tobytes() == predicted[1].tobytes()


def test_a_damaged_file_is_noticed(collaborative, tmp_path):
    collaborative.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        Collaborative.load(tmp_path)
