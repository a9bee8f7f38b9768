import hashlib
import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from genrec.data import embeddings
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig, bundled_minilm, embed_texts, item_texts
from genrec.errors import DataError

TFIDF = EmbeddingConfig(encoder="tfidf")
TEXTS = ["red oak desk", "red oak chair", "blue steel lamp", "blue steel desk", "green wool blanket"]


def catalogue(**fields):
    return Catalogue(np.array(["a", "b", "c"]), fields)


@pytest.fixture
def fake_encoder(monkeypatch):
    """sentence-transformers whose vector of a text is (its length, 1); keeps how it was called."""
    calls = SimpleNamespace(loaded=[], encoded=[])

    class FakeTransformer:
        def __init__(self, name, **options):
            calls.loaded.append((name, options))
            if name == "missing/model":
                raise OSError("no such model\nand a long story")

        def encode(self, texts, **options):
            calls.encoded.append((len(texts), options))
            return np.array([[len(text), 1.0] for text in texts], dtype=np.float64)

    module = ModuleType("sentence_transformers")
    monkeypatch.setattr(module, "SentenceTransformer", FakeTransformer, raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return calls


@pytest.fixture
def no_minilm(monkeypatch):
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)


@pytest.fixture
def minilm_folder(monkeypatch, tmp_path):
    """A package of that name whose weights are the two bytes b"hi"."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"hi")
    monkeypatch.setattr(embeddings, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    return tmp_path / "model"


def test_the_text_of_an_item_is_its_fields_that_exist_in_the_order_of_the_config():
    items = catalogue(brand=["Kestrel", "", ""], title=["Desk", " Lamp ", ""], colour=["red", "red", "red"])
    assert item_texts(items, EmbeddingConfig(fields=("title", "size", "brand"))) == ["Desk. Kestrel", "Lamp", "c"]


def test_no_more_than_max_chars_of_a_field_are_read():
    items = catalogue(title=["Standing Desk", "Desk", "D"], brand=["Kestrel", "K", "K"])
    config = EmbeddingConfig(fields=("title", "brand"), max_chars=4)
    assert item_texts(items, config) == ["Stan. Kest", "Desk. K", "D. K"]


def test_items_without_any_of_the_fields_are_refused_with_what_they_have():
    with pytest.raises(DataError, match=r"none of the fields title, brand \(they have colour\); set embeddings.fields"):
        item_texts(catalogue(colour=["red", "red", "red"]), EmbeddingConfig(fields=("title", "brand")))


def test_tfidf_vectors_are_float32_of_unit_length_and_the_same_again():
    first, again = embed_texts(TEXTS, TFIDF, seed=0), embed_texts(TEXTS, TFIDF, seed=0)
    assert first.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert first.about["encoder"] == "tfidf" and first.about["normalize"] is True


def test_tfidf_dim_is_capped_at_one_less_than_texts_and_words():
    assert embed_texts(TEXTS, TFIDF, seed=0).vectors.shape == (5, 4)
    # three texts of the words a b and their pair: three terms, so two dimensions
    few_words = EmbeddingConfig(encoder="tfidf", tfidf_dim=50)
    assert embed_texts(["aa bb", "aa", "bb", "aa bb", "bb"], few_words, seed=0).vectors.shape == (5, 2)
    assert embed_texts(TEXTS, EmbeddingConfig(encoder="tfidf", tfidf_dim=3), seed=0).vectors.shape == (5, 3)


def test_texts_that_share_words_are_nearer_than_texts_that_share_none():
    vectors = embed_texts(TEXTS, TFIDF, seed=0).vectors
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.3 > abs(cosine[0, 4])


def test_texts_without_a_word_are_refused():
    with pytest.raises(DataError, match=r"no word in the item texts .*embeddings\.fields"):
        embed_texts(["?", "!"], TFIDF, seed=0)


def test_auto_without_an_encoder_is_tfidf_and_says_so(no_minilm, caplog):
    with caplog.at_level(logging.WARNING):
        embedded = embed_texts(TEXTS, EmbeddingConfig(), seed=0)
    np.testing.assert_array_equal(embedded.vectors, embed_texts(TEXTS, TFIDF, seed=0).vectors)
    assert "embedded by TF-IDF" in caplog.text and "genrec[offline]" in caplog.text


def test_auto_takes_the_bundled_minilm_if_its_weights_are_the_known_ones(minilm_folder, fake_encoder, monkeypatch):
    monkeypatch.setattr(embeddings, "MINILM_SHA256", hashlib.sha256(b"hi").hexdigest())
    embedded = embed_texts(TEXTS, EmbeddingConfig(), seed=0)
    assert fake_encoder.loaded == [(str(minilm_folder), {"local_files_only": True})]
    assert embedded.about["encoder"] == "all-MiniLM-L6-v2"
    assert embedded.about["sha256"] == hashlib.sha256(b"hi").hexdigest()


def test_a_bundled_minilm_with_other_weights_is_refused(minilm_folder, fake_encoder):
    with pytest.raises(DataError, match=r"has SHA-256 8f434346648f\.\.\., expected 53aa51172d14.*install"):
        bundled_minilm()
    with pytest.raises(DataError, match="SHA-256"):
        embed_texts(TEXTS, EmbeddingConfig(), seed=0)
    assert fake_encoder.loaded == []


def test_a_model_by_name_embeds_every_text_in_order(no_minilm, fake_encoder, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    texts = ["x" * (row % 7) for row in range(5000)]
    steps = []
    config = EmbeddingConfig(encoder="some/model")
    embedded = embed_texts(texts, config, seed=0, progress=lambda done, of: steps.append((done, of)))
    np.testing.assert_array_equal(embedded.vectors, [[len(text), 1.0] for text in texts])
    assert embedded.vectors.dtype == np.float32
    assert steps[-1] == (5000, 5000)
    assert fake_encoder.loaded == [("some/model", {"local_files_only": False})]


def test_an_offline_machine_never_downloads(no_minilm, fake_encoder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embed_texts(TEXTS, EmbeddingConfig(encoder="some/model"), seed=0)
    assert fake_encoder.loaded == [("some/model", {"local_files_only": True})]


def test_a_model_that_cannot_be_loaded_is_named_with_the_first_line_of_the_reason(no_minilm, fake_encoder):
    with pytest.raises(DataError, match=r"'missing/model' cannot be loaded \(no such model\); .*HF_HUB_OFFLINE"):
        embed_texts(TEXTS, EmbeddingConfig(encoder="missing/model"), seed=0)


def test_several_devices_are_handed_to_sentence_transformers(no_minilm, fake_encoder):
    config = EmbeddingConfig(encoder="some/model", devices=("cuda:0", "cuda:1"), batch_size=16, normalize=False)
    embed_texts(TEXTS, config, seed=0)
    options = fake_encoder.encoded[0][1]
    assert (options["device"], options["batch_size"]) == (["cuda:0", "cuda:1"], 16)
    assert options["normalize_embeddings"] is False


@pytest.mark.parametrize("name", ["max_chars", "batch_size", "tfidf_dim"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be at least 1, got 0"):
        EmbeddingConfig(**{name: 0})


def test_an_empty_choice_of_fields_is_refused():
    with pytest.raises(ValueError, match="at least one field"):
        EmbeddingConfig(fields=())


def test_tfidf_fitted_on_other_texts_gives_these_the_vectors_that_they_have_there():
    there = embed_texts(TEXTS, TFIDF, seed=0)
    some = embed_texts([TEXTS[3], "a word unknown", TEXTS[1]], TFIDF, seed=0, fitted_on=TEXTS)
    np.testing.assert_allclose(some.vectors[[0, 2]], there.vectors[[3, 1]], atol=1e-6)
    assert not some.vectors[1].any()
    assert some.about == there.about
