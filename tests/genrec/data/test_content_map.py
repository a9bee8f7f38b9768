import numpy as np
import pytest
from sklearn.linear_model import Ridge

from genrec.data.collaborative import unit_rows
from genrec.data.content_map import ContentMap, fill_unseen


@pytest.fixture
def content():
    return np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)


@pytest.fixture
def vectors(content):
    """A linear function of the content, at length 1."""
    return unit_rows(content @ np.random.default_rng(1).normal(size=(6, 4)))


def test_the_closed_form_is_that_of_ridge_regression(content, vectors):
    centred = content - content.mean(axis=0)
    model = Ridge(alpha=0.5 * (centred**2).sum() / 6).fit(content, vectors)
    predicted = ContentMap.fit(content, vectors, ridge=0.5).predict(content[:20])
    assert np.allclose(predicted, unit_rows(model.predict(content[:20])), atol=1e-5)


def test_only_unseen_items_are_filled_and_only_seen_ones_teach(content, vectors):
    seen = np.arange(200) < 150
    known = np.where(seen[:, None], vectors, 0).astype(np.float32)
    filled, content_map = fill_unseen(content, known, seen, ridge=1e-4)
    assert filled[:150].tobytes() == vectors[:150].tobytes()
    assert (filled[150:] * vectors[150:]).sum(axis=1).min() > 0.9
    alone = ContentMap.fit(content[:150], vectors[:150], ridge=1e-4)
    assert alone.weights.tobytes() == content_map.weights.tobytes()


def test_a_new_item_is_predicted_the_same_alone_and_among_others(content, vectors):
    content_map = ContentMap.fit(content, vectors, ridge=1.0)
    assert np.array_equal(content_map.predict(content[:50])[7:8], content_map.predict(content[7:8]))


def test_equal_contents_all_get_the_mean(vectors):
    content_map = ContentMap.fit(np.ones((200, 3), dtype=np.float32), vectors, ridge=1.0)
    expected = vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    assert np.allclose(content_map.predict(np.ones((2, 3), dtype=np.float32)), expected, atol=1e-5)


def test_content_of_another_width_is_refused(content, vectors):
    with pytest.raises(ValueError, match="width 6, got 5"):
        ContentMap.fit(content, vectors, ridge=1.0).predict(content[:, :5])
