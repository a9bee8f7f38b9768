import numpy as np
import pytest

from tokenizer import health, reconstruction
from tokenizer.reconstruction import decoded_chunks, mean_cosine, relative_error


def test_relative_error_is_zero_for_the_input_and_one_for_the_mean():
    embeddings = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    assert relative_error(embeddings, embeddings) == 0
    mean = np.tile(embeddings.mean(axis=0), (20, 1))
    assert relative_error(embeddings, mean) == pytest.approx(1)


def test_relative_error_of_embeddings_that_are_all_alike_is_zero_if_met_and_one_if_not():
    alike = np.full((7, 3), 0.1, dtype=np.float32)
    assert relative_error(alike, alike) == 0
    assert relative_error(alike, alike + 1) == 1


def test_reconstruction_figures_do_not_depend_on_the_chunks(monkeypatch):
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(50, 3)).astype(np.float32)
    decoded = embeddings + random.normal(size=(50, 3)).astype(np.float32)
    whole = health(np.zeros((50, 1), dtype=np.int64), (1,), embeddings=embeddings, reconstruction=decoded)
    parts = (decoded[start : start + 7] for start in range(0, 50, 7))
    given = health(np.zeros((50, 1), dtype=np.int64), (1,), embeddings=embeddings, reconstruction=parts)
    monkeypatch.setattr(reconstruction, "ENCODE_ITEMS", 4)
    split = health(np.zeros((50, 1), dtype=np.int64), (1,), embeddings=embeddings, reconstruction=decoded)
    for figures in (given, split):
        assert figures.relative_error == pytest.approx(whole.relative_error, rel=1e-12)
        assert figures.cosine == pytest.approx(whole.cosine, rel=1e-12)
    plain = np.square(embeddings - decoded).sum() / np.square(embeddings - embeddings.mean(axis=0)).sum()
    assert whole.relative_error == pytest.approx(plain, rel=1e-5)


class Doubler:
    def __init__(self):
        self.asked = []

    def decode(self, codes):
        self.asked.append(len(codes))
        return 2.0 * codes


def test_codes_are_decoded_a_chunk_at_a_time(monkeypatch):
    monkeypatch.setattr(reconstruction, "ENCODE_ITEMS", 3)
    doubler = Doubler()
    chunks = list(decoded_chunks(doubler, np.arange(7)[:, None]))
    assert np.concatenate(chunks).ravel().tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert doubler.asked == [3, 3, 1]


@pytest.mark.parametrize(
    ("decoded", "message"),
    [(np.ones((3, 2)), "3 rows for 4"), (np.ones((5, 2)), r"shape \(4, 2\)"), (np.ones((4, 3)), r"shape \(4, 2\)")],
)
def test_a_reconstruction_of_another_shape_is_refused(decoded, message):
    with pytest.raises(ValueError, match=message):
        relative_error(np.ones((4, 2)), [decoded])


def test_a_reconstruction_that_is_not_finite_is_refused_with_its_row():
    decoded = np.ones((4, 2))
    decoded[2, 1] = np.nan
    with pytest.raises(ValueError, match="first: row 2"):
        relative_error(np.ones((4, 2)), decoded)


def test_cosine_is_one_for_a_longer_twin_and_zero_for_a_right_angle_or_nothing():
    ones = np.array([[1, 0]], dtype=np.float32)
    assert mean_cosine(ones, 3 * ones) == pytest.approx(1)
    assert mean_cosine(ones, np.array([[0, 2]], dtype=np.float32)) == 0
    assert mean_cosine(ones, np.zeros((1, 2), dtype=np.float32)) == 0
