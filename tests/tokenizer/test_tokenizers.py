"""The contract that RQVAE and ResidualKMeans share, and what is kept on disk."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tokenizer import RQVAE, ResidualKMeans, ResidualKMeansConfig, RQVAEConfig, health
from tokenizer.checkpoint import read_checkpoint, write_checkpoint
from tokenizer.contract import Decoder, Tokenizer
from tokenizer.sealed_json import read_sealed_json, sealed_json

QUICK = {
    RQVAE: RQVAEConfig(epochs=30, batch_size=256, learning_rate=3e-3),
    ResidualKMeans: ResidualKMeansConfig(),
}


def clustered(num_items=400, dim=24, seed=0):
    """Items around 8 far centres, in columns of very different scales."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(8, dim)) * 4
    items = centres[np.arange(num_items) % 8] + random.normal(size=(num_items, dim))
    return (items * np.geomspace(0.01, 100, dim) + 3).astype(np.float32)


@pytest.fixture(scope="module", params=[RQVAE, ResidualKMeans], ids=lambda kind: kind.__name__)
def fitted(request):
    kind = request.param
    return kind.fit(clustered(), num_levels=3, codebook_size=16, seed=1, config=QUICK[kind])


def test_codes_have_one_column_per_level_within_the_level_sizes(fitted):
    codes = fitted.encode(clustered())
    assert fitted.level_sizes == (16, 16, 16)
    assert codes.shape == (400, 3)
    assert codes.dtype == np.int64
    assert codes.min() >= 0 and codes.max() < 16


def test_every_code_of_every_level_is_used_and_most_of_the_spread_is_kept(fitted):
    embeddings = clustered()
    codes = fitted.encode(embeddings)
    scale = embeddings.std(axis=0)
    figures = health(codes, (16,) * 3, embeddings=embeddings / scale, reconstruction=fitted.decode(codes) / scale)
    assert min(figures.usage) >= 0.9
    assert figures.relative_error is not None and figures.relative_error < 0.3


def test_the_first_code_never_mixes_far_clusters_much(fitted):
    first = fitted.encode(clustered())[:, 0]
    pure = sum(np.bincount((np.arange(400) % 8)[first == code]).max() for code in np.unique(first))
    assert pure / 400 > 0.8


def test_an_item_is_coded_alone_as_among_others(fitted):
    embeddings = clustered()
    together = fitted.encode(embeddings)
    assert [fitted.encode(embeddings[row : row + 1])[0].tolist() for row in range(5)] == together[:5].tolist()


def test_codes_do_not_depend_on_the_order_of_the_rows(fitted):
    embeddings = clustered()
    shuffled = np.random.default_rng(3).permutation(len(embeddings))
    again = type(fitted).fit(embeddings[shuffled], num_levels=3, codebook_size=16, seed=1, config=fitted.config)
    assert np.array_equal(again.encode(embeddings), fitted.encode(embeddings))


def test_a_memory_mapped_input_is_coded_as_one_in_memory(fitted, tmp_path):
    np.save(tmp_path / "embeddings.npy", clustered())
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    assert np.array_equal(fitted.encode(mapped), fitted.encode(clustered()))


def test_the_last_code_is_the_one_of_least_distance(fitted):
    embeddings = clustered()
    codes = fitted.encode(embeddings)
    distances = fitted.last_level_distances(embeddings, codes)
    assert distances.shape == (400, 16) and distances.min() >= 0
    assert np.array_equal(distances.argmin(axis=1), codes[:, -1])
    assert isinstance(fitted, Tokenizer) and isinstance(fitted, Decoder)


def test_the_same_seed_gives_the_same_codes_and_leaves_the_random_state_alone(fitted):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = type(fitted).fit(clustered(), num_levels=3, codebook_size=16, seed=1, config=fitted.config)
    assert np.array_equal(again.encode(clustered()), fitted.encode(clustered()))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_tokenizer_comes_back_with_the_same_codes_and_settings(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "tokenizer")
    assert sorted(path.name for path in (tmp_path / "tokenizer").iterdir()) == ["config.json", "model.safetensors"]
    loaded = type(fitted).from_pretrained(tmp_path / "tokenizer")
    codes = fitted.encode(clustered())
    assert np.array_equal(loaded.encode(clustered()), codes)
    assert np.array_equal(loaded.decode(codes), fitted.decode(codes))
    assert (loaded.config, loaded.seed) == (fitted.config, 1)


def test_a_missing_file_is_named(fitted, tmp_path):
    for name in ("config.json", "model.safetensors"):
        fitted.save_pretrained(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(ValueError, match=f"{name} is missing"):
            type(fitted).from_pretrained(tmp_path)


def test_a_flipped_bit_in_the_weights_is_noticed(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-7] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        type(fitted).from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 2, but found 99"),
        ({"tokenizer": "Other"}, "but found 'Other'"),
        ({"codebook_size": 8}, r"array '[a-z.0]+' as float32 \((3, )?8,"),
        ({"num_levels": "three"}, "whole number for 'num_levels', but found 'three'"),
        ({"config": {"epoch": 3}}, "'epoch'"),
        ({"config": None}, "expected an object"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(fitted, tmp_path, changes, message):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(sealed_json(read_sealed_json(path.read_bytes()) | changes))
    with pytest.raises(ValueError, match=message) as raised:
        type(fitted).from_pretrained(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_cut_config_is_refused_by_name(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 2,')
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        type(fitted).from_pretrained(tmp_path)


def test_stored_weights_that_are_not_finite_are_refused_by_name(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    arrays["corrections"][1, 2, 3] = np.nan
    stored, _ = read_checkpoint(tmp_path, type(fitted).__name__)
    kept = {key: stored[key] for key in stored.keys() - {"format", "tokenizer", "sha256"}}
    write_checkpoint(tmp_path, type(fitted).__name__, kept, arrays)
    with pytest.raises(ValueError, match=r"model\.safetensors: array 'corrections' holds NaN"):
        type(fitted).from_pretrained(tmp_path)


def test_embeddings_of_another_width_are_refused(fitted):
    with pytest.raises(ValueError, match=r"fitted on 24-dimensional .* have 23"):
        fitted.encode(clustered()[:, :23])


def test_codes_beyond_their_level_are_refused(fitted):
    with pytest.raises(ValueError, match="code 16 of row 0 at level 2"):
        fitted.decode(np.array([[0, 0, 16]]))


@pytest.mark.parametrize("kind", [RQVAE, ResidualKMeans])
def test_nan_and_too_few_items_are_refused_before_anything_is_fitted(kind):
    embeddings = clustered(20)
    with pytest.raises(ValueError, match="at most 20"):
        kind.fit(embeddings, codebook_size=21, config=QUICK[kind])
    embeddings[4, 0] = np.inf
    with pytest.raises(ValueError, match="row 4"):
        kind.fit(embeddings, codebook_size=4, config=QUICK[kind])


@pytest.mark.parametrize("kind", [RQVAE, ResidualKMeans])
@pytest.mark.parametrize("sizes", [{"num_levels": 0}, {"codebook_size": 1}])
def test_impossible_sizes_are_refused(kind, sizes):
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be at least"):
        kind.fit(clustered(20), **sizes)


@pytest.mark.parametrize("kind", [RQVAE, ResidualKMeans])
def test_items_that_are_all_alike_are_fitted_with_an_alarm(kind, caplog):
    embeddings = np.ones((64, 8), dtype=np.float32)
    config = RQVAEConfig(epochs=2) if kind is RQVAE else None
    tokenizer = kind.fit(embeddings, num_levels=2, codebook_size=8, config=config)
    assert len(np.unique(tokenizer.encode(embeddings), axis=0)) == 1
    assert "codebook collapse: level 0 uses 1 of 8" in caplog.text


def test_progress_counts_up_to_the_end():
    seen = []
    config = RQVAEConfig(epochs=3)
    RQVAE.fit(clustered(40), codebook_size=4, config=config, progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    ResidualKMeans.fit(clustered(40), num_levels=2, codebook_size=4, progress=lambda done, all_: seen.append(done))
    assert seen == [0, 1, 2]


def constant_direction(num_items=600, dim=32, seed=0):
    """Unit vectors that all but agree, as raw text embeddings of one domain do (only more so)."""
    random = np.random.default_rng(seed)
    direction = np.ones(dim) / np.sqrt(dim)
    vectors = direction + 1e-5 * random.normal(size=(num_items, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_raw_vectors_of_one_direction_collapse_with_a_warning(caplog):
    config = RQVAEConfig(
        preparation="raw",
        linear_path=False,
        codebook_update="gradient",
        reset_until_epoch=0,
        settling_share=0.0,
        weight_decay=0.1,
        batch_size=64,
        epochs=60,
    )
    tokenizer = RQVAE.fit(constant_direction(), num_levels=3, codebook_size=32, config=config)
    assert health(tokenizer.encode(constant_direction()), (32,) * 3).codes_used[0] == 1
    assert "codebook collapse: level 0 uses 1 of 32" in caplog.text and "standardise" in caplog.text


@pytest.mark.parametrize("kind", [RQVAE, ResidualKMeans])
def test_with_the_defaults_the_same_vectors_keep_nine_tenths_of_the_codes_in_use(kind, caplog):
    tokenizer = kind.fit(constant_direction(), num_levels=3, codebook_size=32)
    assert min(health(tokenizer.encode(constant_direction()), (32,) * 3).usage) > 0.9
    assert "collapse" not in caplog.text
