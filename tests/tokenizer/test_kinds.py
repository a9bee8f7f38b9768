"""What holds for every kind of tokenizer."""

import numpy as np
import pytest

import tokenizer
from tokenizer.contract import Tokenizer
from tokenizer.kinds import KINDS, load_tokenizer

QUICK = {"RQVAE": tokenizer.RQVAEConfig(epochs=5), "FSQ": tokenizer.FSQConfig(epochs=3)}


def items(kind):
    random = np.random.default_rng(0)
    if kind == "SequentialCodes":
        return random.permutation(300)[:, None].astype(np.float32)
    return random.normal(size=(300, 12)).astype(np.float32)


@pytest.fixture(scope="module", params=list(KINDS))
def fitted(request):
    configured = {"config": QUICK[request.param]} if request.param in QUICK else {}
    return KINDS[request.param].fit(items(request.param), num_levels=3, codebook_size=8, seed=2, **configured)


def test_each_kind_keeps_the_contract(fitted):
    assert isinstance(fitted, Tokenizer)
    embeddings = items(type(fitted).__name__)
    codes = fitted.encode(embeddings)
    assert codes.shape == (300, 3) and codes.dtype == np.int64
    assert (codes >= 0).all() and (codes < np.array(fitted.level_sizes)).all()
    distances = fitted.last_level_distances(embeddings[:20], codes[:20])
    assert distances.shape == (20, fitted.level_sizes[-1]) and distances.min() >= 0
    assert np.allclose(distances[np.arange(20), codes[:20, -1]], distances.min(axis=1))


def test_items_one_by_one_get_the_codes_that_they_get_together(fitted):
    embeddings = items(type(fitted).__name__)
    together = fitted.encode(embeddings)
    assert all(np.array_equal(fitted.encode(embeddings[row : row + 1])[0], together[row]) for row in range(0, 300, 7))


def test_the_order_of_the_rows_decides_nothing(fitted):
    embeddings = items(type(fitted).__name__)
    shuffled = embeddings[np.random.default_rng(5).permutation(300)]
    configured = {"config": fitted.config} if hasattr(fitted, "config") and fitted.config is not None else {}
    again = type(fitted).fit(shuffled, num_levels=3, codebook_size=8, seed=2, **configured)
    assert np.array_equal(again.encode(embeddings), fitted.encode(embeddings))


def test_a_saved_one_comes_back_as_its_own_kind(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(fitted)
    embeddings = items(type(fitted).__name__)
    assert np.array_equal(loaded.encode(embeddings), fitted.encode(embeddings))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), ("{", "is not the config"), ('"text"', "is not the config"), ('{"tokenizer": "X"}', "'X'")],
)
def test_a_folder_without_a_known_tokenizer_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        load_tokenizer(tmp_path)
    assert "config.json" in str(raised.value)


def test_every_kind_is_exported():
    assert set(KINDS) <= set(tokenizer.__all__)
