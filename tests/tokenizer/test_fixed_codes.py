"""Codes that learn little or nothing: by chance, by first appearance, and clusters with a code by chance."""

import numpy as np
import pytest

from tokenizer.canonical_rows import row_hashes
from tokenizer.contract import Decoder, Tokenizer
from tokenizer.hierarchical_kmeans import HierarchicalKMeans, HierarchicalKMeansConfig
from tokenizer.hybrid_codes import HybridCodes, HybridCodesConfig
from tokenizer.random_codes import RandomCodes, hashed_codes
from tokenizer.sealed_json import read_sealed_json, sealed_json
from tokenizer.sequential_codes import SequentialCodes, smallest_base


def items(num_items=300, dim=12, seed=0):
    return np.random.default_rng(seed).normal(size=(num_items, dim)).astype(np.float32)


def positions(num_items=300, seed=0):
    return np.random.default_rng(seed).permutation(num_items).astype(np.float32)[:, None] * 3


INPUT = {RandomCodes: items, HybridCodes: items, SequentialCodes: positions}


@pytest.fixture(scope="module", params=INPUT, ids=lambda kind: kind.__name__)
def fitted(request):
    return request.param.fit(INPUT[request.param](), num_levels=3, codebook_size=8, seed=5)


def test_each_is_a_tokenizer_that_decodes_nothing(fitted):
    embeddings = INPUT[type(fitted)]()
    codes = fitted.encode(embeddings)
    assert isinstance(fitted, Tokenizer) and not isinstance(fitted, Decoder)
    assert codes.shape == (300, 3) and codes.dtype == np.int64
    assert (codes >= 0).all() and (codes < fitted.level_sizes).all()


def test_codes_do_not_depend_on_the_order_of_the_rows(fitted):
    embeddings = INPUT[type(fitted)]()
    shuffled = np.random.default_rng(3).permutation(300)
    again = type(fitted).fit(embeddings[shuffled], num_levels=3, codebook_size=8, seed=5)
    assert np.array_equal(again.encode(embeddings), fitted.encode(embeddings))


def test_an_item_is_coded_alone_as_among_others(fitted):
    embeddings = INPUT[type(fitted)]()
    alone = np.concatenate([fitted.encode(item[None]) for item in embeddings])
    assert np.array_equal(alone, fitted.encode(embeddings))
    assert fitted.encode(embeddings[:0]).shape == (0, 3)


def test_memory_mapped_items_are_coded_as_those_in_memory(fitted, tmp_path):
    np.save(tmp_path / "items.npy", INPUT[type(fitted)]())
    mapped = np.load(tmp_path / "items.npy", mmap_mode="r")
    assert np.array_equal(fitted.encode(mapped), fitted.encode(INPUT[type(fitted)]()))


def test_the_own_code_is_the_only_one_at_distance_zero(fitted):
    embeddings = INPUT[type(fitted)]()
    codes = fitted.encode(embeddings)
    distances = fitted.last_level_distances(embeddings, codes)
    assert distances.shape == (300, fitted.level_sizes[-1]) and distances.dtype == np.float64
    assert np.array_equal(distances == 0, codes[:, -1:] == np.arange(fitted.level_sizes[-1]))


def test_a_saved_tokenizer_comes_back(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    loaded = type(fitted).from_pretrained(tmp_path)
    embeddings = INPUT[type(fitted)](280)
    codes = fitted.encode(embeddings)
    assert np.array_equal(loaded.encode(embeddings), codes)
    assert np.array_equal(
        loaded.last_level_distances(embeddings, codes), fitted.last_level_distances(embeddings, codes)
    )
    assert (loaded.level_sizes, loaded.config, loaded.seed) == (fitted.level_sizes, fitted.config, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "Other"}, "but found 'Other'"),
        ({"num_levels": 0}, "num_levels"),
        ({"codebook_size": "eight"}, "whole number for 'codebook_size'"),
        ({"codebook_size": 1}, "codebook_size must be at least 2|expected 1 to 1"),
        ({"config": {"epochs": 3}}, "'epochs'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_folder(fitted, tmp_path, changes, message):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(sealed_json(read_sealed_json(path.read_bytes()) | changes))
    with pytest.raises(ValueError, match=message) as raised:
        type(fitted).from_pretrained(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_damaged_file_is_refused(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="is damaged"):
        type(fitted).from_pretrained(tmp_path)


def test_bad_input_is_refused(fitted):
    kind, embeddings = type(fitted), INPUT[type(fitted)]()
    broken = np.where(np.arange(300)[:, None] == 7, np.inf, embeddings)
    with pytest.raises(ValueError, match="row 7"):
        kind.fit(broken)
    with pytest.raises(ValueError, match="row 7"):
        fitted.encode(broken)
    with pytest.raises(ValueError, match="dimension"):
        fitted.encode(np.hstack([embeddings, embeddings]))
    with pytest.raises(ValueError, match="num_levels must be at least"):
        kind.fit(embeddings, num_levels=0)
    with pytest.raises(ValueError, match="codebook_size must be at least 2"):
        kind.fit(embeddings, codebook_size=1)
    with pytest.raises(ValueError, match=r"expected codes of shape \(items, 3\)"):
        fitted.last_level_distances(embeddings[:2], np.zeros((2, 2), dtype=np.int64))


def test_equal_items_share_their_random_codes_and_minus_zero_is_zero():
    doubled = np.repeat(items(4), 2, axis=0)
    doubled[0, 0], doubled[1, 0] = 0.0, -0.0
    codes = RandomCodes.fit(doubled).encode(doubled)
    assert np.array_equal(codes[0::2], codes[1::2])
    assert len(np.unique(codes, axis=0)) == 4


def test_random_codes_are_even_and_their_levels_independent():
    codes = RandomCodes.fit(items(8000), num_levels=2, codebook_size=4).encode(items(8000))
    pairs = np.bincount(codes[:, 0] * 4 + codes[:, 1], minlength=16)
    assert np.abs(pairs - 500).max() < 100  # 500 each; 4.6 deviations of a binomial


def test_another_seed_gives_other_random_codes():
    one, other = (RandomCodes.fit(items(), seed=seed).encode(items()) for seed in (0, 1))
    assert (one == other).mean() < 0.05


def test_the_random_code_of_a_known_row_never_changes():
    assert RandomCodes.fit(np.ones((1, 3))).encode(np.ones((1, 3))).tolist() == [[194, 60, 21]]


def test_random_distances_are_spread_over_zero_to_one():
    tokenizer = RandomCodes.fit(items(), codebook_size=8)
    distances = tokenizer.last_level_distances(items(), tokenizer.encode(items()))
    others = distances[distances > 0]
    assert others.max() < 1
    assert others.mean() == pytest.approx(0.5, abs=0.03)


def test_ranks_are_written_in_the_smallest_base_most_significant_digit_first():
    tokenizer = SequentialCodes.fit(np.arange(9.0)[:, None], num_levels=2, codebook_size=256)
    assert tokenizer.level_sizes == (3, 3)
    codes = tokenizer.encode(np.arange(9.0)[:, None])
    assert codes.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]


def test_items_of_equal_position_share_their_codes():
    appeared = np.array([[40.0], [10.0], [40.0], [20.0]])
    assert SequentialCodes.fit(appeared, num_levels=2).encode(appeared).tolist() == [[1, 0], [0, 0], [1, 0], [0, 1]]


def test_an_unseen_position_has_the_codes_of_the_nearest_known_one():
    tokenizer = SequentialCodes.fit(np.array([[0.0], [10.0], [20.0]]), num_levels=1)
    unseen = np.array([[-7.0], [4.0], [5.0], [6.0], [99.0]])
    assert tokenizer.encode(unseen)[:, 0].tolist() == [0, 0, 0, 1, 2]


def test_distances_of_sequential_codes_are_squared_differences_of_the_last_digit():
    tokenizer = SequentialCodes.fit(np.arange(4.0)[:, None], num_levels=1)
    distances = tokenizer.last_level_distances(np.array([[2.0]]), np.array([[2]]))
    assert distances.tolist() == [[4, 1, 0, 1]]


@pytest.mark.parametrize(("ranks", "levels", "base"), [(1, 3, 2), (8, 3, 2), (9, 3, 3), (12_101, 3, 23), (256, 1, 256)])
def test_the_base_is_the_smallest_that_numbers_all_ranks(ranks, levels, base):
    assert smallest_base(ranks, levels, 256) == base


def test_more_positions_than_codes_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"17 items .* 2 levels of 4 codes \(16 in all\); use more levels"):
        SequentialCodes.fit(np.arange(17.0)[:, None], num_levels=2, codebook_size=4)


def test_sequential_codes_need_one_column():
    with pytest.raises(ValueError, match=r"one column, .* but got 12-dimensional"):
        SequentialCodes.fit(items())


def test_positions_that_do_not_ascend_are_refused(tmp_path):
    SequentialCodes(np.array([3, 1], dtype=np.float32), num_levels=1, codebook_size=4).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ascending 'positions'"):
        SequentialCodes.from_pretrained(tmp_path)


def test_hybrid_codes_are_those_of_the_clusters_and_a_hash():
    config = HierarchicalKMeansConfig(projection_dim=4)
    clusters = HierarchicalKMeans.fit(items(), num_levels=2, codebook_size=8, seed=5, config=config)
    hybrid = HybridCodes.fit(items(), num_levels=3, codebook_size=8, seed=5, config=HybridCodesConfig(projection_dim=4))
    codes = hybrid.encode(items())
    assert np.array_equal(codes[:, :2], clusters.encode(items()))
    assert np.array_equal(codes[:, 2], hashed_codes(row_hashes(items(), seed=5), 2, 8))


def test_hybrid_codes_of_one_level_are_refused():
    with pytest.raises(ValueError, match="num_levels must be at least 2, one for clusters and one for the item"):
        HybridCodes.fit(items(), num_levels=1)


@pytest.mark.parametrize("kind", [RandomCodes, SequentialCodes, HybridCodes])
def test_progress_ends_with_all_done(kind):
    seen = []
    kind.fit(INPUT[kind](), num_levels=3, codebook_size=8, progress=lambda done, number: seen.append((done, number)))
    assert seen[-1][0] == seen[-1][1]
