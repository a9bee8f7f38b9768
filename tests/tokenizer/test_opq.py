import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tokenizer.contract import Decoder, Tokenizer
from tokenizer.opq import OPQ, OPQConfig
from tokenizer.sealed_json import read_sealed_json, sealed_json

QUICK = OPQConfig(rotation_iterations=5, iterations=10)


def correlated(num_items=400, dim=26, seed=0):
    """Items whose directions differ much in variance, turned at random."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    return (random.normal(size=(num_items, dim)) * np.geomspace(5, 0.1, dim) @ turn + 2).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    return OPQ.fit(correlated(), num_levels=4, codebook_size=16, seed=1, config=QUICK)


def test_an_opq_is_a_tokenizer_that_decodes(fitted):
    assert isinstance(fitted, Tokenizer) and isinstance(fitted, Decoder)
    assert fitted.level_sizes == (16, 16, 16, 16)
    assert fitted.encode(correlated()).dtype == np.int64


def test_of_26_dimensions_four_levels_keep_24_orthonormal_ones(fitted):
    assert fitted.rotation.shape == (26, 24)
    assert fitted.codebooks.shape == (4, 16, 6)
    assert np.allclose(fitted.rotation.T @ fitted.rotation, np.eye(24), atol=1e-5)


def test_codes_are_those_of_a_double_loop(fitted):
    rotated = fitted.preparation.apply(correlated(40)) @ fitted.rotation
    codes = fitted.encode(correlated(40))
    for row, item in enumerate(rotated):
        for level, codebook in enumerate(fitted.codebooks):
            part = item[6 * level : 6 * level + 6]
            assert codes[row, level] == np.argmin([((part - vector) ** 2).sum() for vector in codebook])


def test_distances_to_the_last_codes_are_those_of_the_vectors_they_stand_for(fitted):
    codes = np.random.default_rng(0).integers(0, 16, size=(5, 4))
    distances = fitted.last_level_distances(correlated(5), codes)
    rotated = fitted.preparation.apply(correlated(5)) @ fitted.rotation
    for row in range(5):
        for code in range(16):
            places = [*codes[row, :3], code]
            vector = np.concatenate([fitted.codebooks[level, place] for level, place in enumerate(places)])
            assert distances[row, code] == pytest.approx(((rotated[row] - vector) ** 2).sum(), rel=1e-9)


def test_the_last_code_is_the_one_of_least_distance(fitted):
    codes = fitted.encode(correlated())
    assert np.array_equal(fitted.last_level_distances(correlated(), codes).argmin(axis=1), codes[:, -1])


def test_decoding_puts_the_parts_side_by_side_and_turns_them_back(fitted):
    decoded = fitted.decode(np.array([[3, 0, 15, 7]]))[0]
    vector = np.concatenate([fitted.codebooks[level, code] for level, code in enumerate([3, 0, 15, 7])])
    assert np.allclose(decoded, fitted.rotation @ vector + fitted.preparation.mean, atol=1e-5)


def test_the_learned_rotation_reconstructs_better_than_a_random_one():
    errors = []
    for iterations in (0, 10):
        config = OPQConfig(rotation_iterations=iterations)
        fitted = OPQ.fit(correlated(), num_levels=4, codebook_size=16, config=config)
        errors.append(np.square(fitted.decode(fitted.encode(correlated())) - correlated()).sum())
    assert errors[1] < 0.9 * errors[0]


def test_every_code_of_every_level_is_used_by_600_items_of_384_dimensions():
    items = correlated(600, dim=384)
    fitted = OPQ.fit(items, num_levels=8, codebook_size=256, config=QUICK)
    assert [len(np.unique(codes)) for codes in fitted.encode(items).T] == [256] * 8


def test_codes_do_not_depend_on_the_order_of_the_rows(fitted):
    shuffled = np.random.default_rng(3).permutation(400)
    again = OPQ.fit(correlated()[shuffled], num_levels=4, codebook_size=16, seed=1, config=QUICK)
    assert np.array_equal(again.encode(correlated()), fitted.encode(correlated()))


def test_a_sample_for_the_fit_does_not_depend_on_the_order_of_the_rows_either():
    config = OPQConfig(rotation_iterations=2, max_points_per_code=8)
    shuffled = np.random.default_rng(3).permutation(400)
    fits = [
        OPQ.fit(items, num_levels=2, codebook_size=8, config=config) for items in (correlated(), correlated()[shuffled])
    ]
    assert np.array_equal(fits[0].codebooks, fits[1].codebooks)


def test_an_item_is_coded_alone_as_among_others(fitted):
    together = fitted.encode(correlated())
    assert np.array_equal(np.concatenate([fitted.encode(item[None]) for item in correlated()]), together)
    assert fitted.encode(correlated()[:0]).shape == (0, 4)


def test_new_items_and_memory_mapped_ones_are_coded(fitted, tmp_path):
    new = correlated(50, seed=9)
    np.save(tmp_path / "new.npy", new)
    codes = fitted.encode(new)
    assert np.array_equal(fitted.encode(np.load(tmp_path / "new.npy", mmap_mode="r")), codes)
    assert codes.min() >= 0 and codes.max() < 16


FIT = """
import sys, zlib, numpy as np
from tokenizer.opq import OPQ, OPQConfig
random = np.random.default_rng(0)
fitted = OPQ.fit(random.normal(size=(300, 48)).astype(np.float32), num_levels=6, codebook_size=32,
                 config=OPQConfig(rotation_iterations=4))
print(zlib.crc32(fitted.rotation.tobytes() + fitted.codebooks.tobytes()))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_two_runs_give_the_same_rotation_bit_for_bit(threads):
    environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(Path(__file__).parents[2])}
    runs = [
        subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, check=True, timeout=60)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != b""


@pytest.mark.parametrize("preparation", ["raw", "centre", "standardise", "whiten"])
def test_a_saved_opq_comes_back(tmp_path, preparation):
    config = OPQConfig(preparation=preparation, rotation_iterations=1)
    fitted = OPQ.fit(correlated(), num_levels=4, codebook_size=16, seed=7, config=config)
    fitted.save_pretrained(tmp_path)
    loaded = OPQ.from_pretrained(tmp_path)
    codes = fitted.encode(correlated())
    assert np.array_equal(loaded.encode(correlated()), codes)
    assert np.array_equal(loaded.decode(codes), fitted.decode(codes))
    assert (loaded.config, loaded.seed) == (config, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "FSQ"}, "expected a OPQ, but found 'FSQ'"),
        ({"codebook_size": 8}, r"'codebooks' as float32 \(4, 8, 6\)"),
        ({"num_levels": 0}, "'codebooks' as float32"),
        ({"config": {"rotation_iterations": -1}}, "rotation_iterations must be at least 0"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_folder(fitted, tmp_path, changes, message):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(sealed_json(read_sealed_json(path.read_bytes()) | changes))
    with pytest.raises(ValueError, match=message) as raised:
        OPQ.from_pretrained(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_flipped_bit_is_noticed(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-7] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="is damaged"):
        OPQ.from_pretrained(tmp_path)


def test_what_cannot_be_fitted_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="codebook_size of at most 20"):
        OPQ.fit(correlated(20), codebook_size=21)
    with pytest.raises(ValueError, match="at most 26 levels"):
        OPQ.fit(correlated(), num_levels=27, codebook_size=4)
    with pytest.raises(ValueError, match="row 4"):
        OPQ.fit(np.where(np.arange(400)[:, None] == 4, np.nan, correlated()), codebook_size=4)


def test_other_widths_and_unknown_codes_are_refused(fitted):
    with pytest.raises(ValueError, match=r"fitted on 26-dimensional .* have 25"):
        fitted.encode(correlated()[:, :25])
    with pytest.raises(ValueError, match="code 16 of row 0 at level 2"):
        fitted.decode(np.array([[0, 0, 16, 0]]))


@pytest.mark.parametrize(
    "setting",
    [{"rotation_iterations": -1}, {"iterations": 0}, {"max_points_per_code": 0}],
)
def test_an_impossible_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        OPQConfig(**setting)


def test_progress_is_told_before_each_level_and_at_the_end():
    seen = []
    OPQ.fit(correlated(), num_levels=2, codebook_size=4, config=QUICK, progress=lambda done, number: seen.append(done))
    assert seen == [0, 0, 1, 2]
