import numpy as np
import pytest
from safetensors.numpy import load_file

from tokenizer.checkpoint import read_checkpoint, write_checkpoint
from tokenizer.contract import Decoder, Tokenizer
from tokenizer.hierarchical_kmeans import HierarchicalKMeans, HierarchicalKMeansConfig
from tokenizer.sealed_json import read_sealed_json, sealed_json

RAW = HierarchicalKMeansConfig(preparation="raw", projection_dim=None)


def clustered(num_items=400, dim=10, seed=0):
    """Items around 5 far centres."""
    centres = np.random.default_rng(0).normal(size=(5, dim)) * 10
    random = np.random.default_rng(seed)
    return (centres[np.arange(num_items) % 5] + random.normal(size=(num_items, dim))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    return HierarchicalKMeans.fit(clustered(), num_levels=3, codebook_size=6, seed=1)


def test_it_is_a_tokenizer_that_decodes(fitted):
    assert isinstance(fitted, Tokenizer) and isinstance(fitted, Decoder)
    codes = fitted.encode(clustered())
    assert fitted.level_sizes == (6, 6, 6)
    assert codes.shape == (400, 3) and codes.dtype == np.int64 and codes.min() >= 0 and codes.max() < 6


def test_codes_are_those_of_a_plain_walk_down_the_tree(fitted):
    points = fitted.preparation.apply(clustered(60))
    codes = fitted.encode(clustered(60))
    for row, point in enumerate(points):
        node = 0
        for level, (centroids, first) in enumerate(zip(fitted.tree.centroids, fitted.tree.first_child, strict=True)):
            children = range(first[node], first[node + 1])
            node = min(children, key=lambda child: ((point - centroids[child]) ** 2).sum())
            assert codes[row, level] == node - children[0]


def test_each_cluster_is_clustered_with_centroids_of_its_own(fitted):
    """Unlike in residual quantisation, no two nodes share their centroids."""
    assert [len(table) for table in fitted.tree.centroids[:2]] == [6, 36]
    assert len(np.unique(fitted.tree.centroids[1], axis=0)) == 36


def test_the_first_code_never_mixes_far_clusters():
    first = HierarchicalKMeans.fit(clustered(), num_levels=2, codebook_size=16).encode(clustered())[:, 0]
    for code in range(16):
        assert len(np.unique((np.arange(400) % 5)[first == code])) == 1


def test_distinct_items_are_told_apart_while_there_is_room():
    items = clustered(200)
    codes = HierarchicalKMeans.fit(items, num_levels=3, codebook_size=16).encode(items)
    assert len(np.unique(codes, axis=0)) == 200


def test_decoding_gives_the_centroid_of_the_leaf():
    items = clustered(6)
    fitted = HierarchicalKMeans.fit(items, num_levels=2, codebook_size=8, config=RAW)
    assert np.allclose(fitted.decode(fitted.encode(items)), items)


def test_a_free_last_code_stands_for_its_node_and_is_as_far():
    items = clustered()
    fitted = HierarchicalKMeans.fit(items, num_levels=2, codebook_size=64, config=RAW)
    counts = np.diff(fitted.tree.first_child[1])
    node = int(counts.argmin())
    codes = np.array([[node, 63]])
    assert counts[node] < 64
    assert np.allclose(fitted.decode(codes)[0], fitted.tree.centroids[0][node])
    distances = fitted.last_level_distances(items[:1], codes)
    assert distances[0, 63] == pytest.approx(((items[0] - fitted.tree.centroids[0][node]) ** 2).sum(), rel=1e-5)


def test_distances_are_those_to_the_leaves_under_the_given_codes(fitted):
    codes = fitted.encode(clustered())
    strangers = codes[::-1]
    distances = fitted.last_level_distances(clustered(), strangers)
    points = fitted.preparation.apply(clustered())
    first, leaves = fitted.tree.first_child[-1], fitted.tree.centroids[-1]
    for row in range(0, 400, 37):
        node = fitted.tree.nodes(strangers[row : row + 1, :2])[0]
        plain = [((points[row] - leaf) ** 2).sum() for leaf in leaves[first[node] : first[node + 1]]]
        assert np.allclose(distances[row, : len(plain)], plain)
    assert np.isfinite(distances).all()


def test_the_last_code_is_the_one_of_least_distance(fitted):
    codes = fitted.encode(clustered())
    assert np.array_equal(fitted.last_level_distances(clustered(), codes).argmin(axis=1), codes[:, -1])


def test_codes_of_no_cluster_are_refused_with_row_and_level():
    fitted = HierarchicalKMeans.fit(clustered(12), num_levels=3, codebook_size=6)
    codes = fitted.encode(clustered(12))
    codes[3, 1] = 5
    for refused in (fitted.decode, lambda wrong: fitted.last_level_distances(clustered(12), wrong)):
        with pytest.raises(ValueError, match="code 5 of row 3 at level 1 names no cluster"):
            refused(codes)
    with pytest.raises(ValueError, match="code 6 of row 0 at level 2 is outside"):
        fitted.decode(np.array([[0, 0, 6]]))


def test_codes_do_not_depend_on_the_order_of_the_rows(fitted):
    shuffled = np.random.default_rng(3).permutation(400)
    again = HierarchicalKMeans.fit(clustered()[shuffled], num_levels=3, codebook_size=6, seed=1)
    assert np.array_equal(again.encode(clustered()), fitted.encode(clustered()))


def test_an_item_is_coded_alone_as_among_others(fitted):
    alone = np.concatenate([fitted.encode(item[None]) for item in clustered()])
    assert np.array_equal(alone, fitted.encode(clustered()))
    assert fitted.encode(clustered()[:0]).shape == (0, 3)


def test_new_items_and_memory_mapped_ones_are_coded(fitted, tmp_path):
    new = clustered(50, seed=9)
    np.save(tmp_path / "new.npy", new)
    codes = fitted.encode(new)
    assert np.array_equal(codes[:, 0], fitted.encode(np.load(tmp_path / "new.npy", mmap_mode="r"))[:, 0])
    assert fitted.decode(codes).shape == new.shape


def test_thousands_of_tiny_nodes_take_no_time_worth_waiting_for():
    items = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    fitted = HierarchicalKMeans.fit(items, num_levels=3, codebook_size=128)
    assert len(fitted.tree.centroids[1]) == 3000
    assert len(np.unique(fitted.encode(items), axis=0)) == 3000


def test_a_level_that_tells_nothing_is_warned_of_with_a_remedy(caplog):
    HierarchicalKMeans.fit(clustered(64), num_levels=3, codebook_size=64)
    assert "level 1 has the same code for all items" in caplog.text
    assert "use a num_levels of 1, or a codebook_size nearer to 4" in caplog.text


def test_items_that_are_all_alike_get_one_code_and_an_alarm(caplog):
    codes = HierarchicalKMeans.fit(np.ones((64, 8)), num_levels=2, codebook_size=8).encode(np.ones((64, 8)))
    assert np.unique(codes, axis=0).tolist() == [[0, 0]]
    assert "collapse" in caplog.text


@pytest.mark.parametrize(
    "config",
    [
        HierarchicalKMeansConfig(),
        HierarchicalKMeansConfig(preparation="whiten", projection_dim=None),
        HierarchicalKMeansConfig(preparation="centre", projection_dim=3),
        RAW,
    ],
)
@pytest.mark.parametrize("num_levels", [1, 2])
def test_a_saved_tree_comes_back(tmp_path, config, num_levels):
    fitted = HierarchicalKMeans.fit(clustered(), num_levels=num_levels, codebook_size=9, seed=4, config=config)
    fitted.save_pretrained(tmp_path)
    loaded = HierarchicalKMeans.from_pretrained(tmp_path)
    codes = fitted.encode(clustered())
    assert np.array_equal(loaded.encode(clustered()), codes)
    assert np.array_equal(loaded.decode(codes), fitted.decode(codes))
    assert (loaded.level_sizes, loaded.config, loaded.seed) == ((9,) * num_levels, config, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "Other"}, "but found 'Other'"),
        ({"num_children": [6, 36]}, "expected 3 whole numbers for 'num_children'"),
        ({"num_children": [6, 35, 200]}, r"'centroids.1' as float32 \(35, 10\)"),
        ({"codebook_size": 5}, "'first_child.0' gives a node 6 .* expected 1 to 5"),
        ({"config": {"projection_dim": 3}}, r"'centroids.0' as float32 \(6, 3\)"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_folder(fitted, tmp_path, changes, message):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(sealed_json(read_sealed_json(path.read_bytes()) | changes))
    with pytest.raises(ValueError, match=message) as raised:
        HierarchicalKMeans.from_pretrained(tmp_path)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 6], "as int64 .* from 0 to 6, but it is not"),
        ([0.0, 6.0], "as int64"),
        ([0, 3, 6], r"as int64 \(2,\)"),
    ],
)
def test_offsets_that_part_nothing_are_refused(fitted, tmp_path, offsets, message):
    fitted.save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors") | {"first_child.0": np.array(offsets)}
    config, _ = read_checkpoint(tmp_path, "HierarchicalKMeans")
    known = {key: value for key, value in config.items() if key not in ("format", "tokenizer", "sha256")}
    write_checkpoint(tmp_path, "HierarchicalKMeans", known, arrays)
    with pytest.raises(ValueError, match=message):
        HierarchicalKMeans.from_pretrained(tmp_path)


def test_other_widths_nothing_and_nan_are_refused(fitted):
    with pytest.raises(ValueError, match=r"fitted on 10-dimensional .* have 9"):
        fitted.encode(clustered()[:, :9])
    with pytest.raises(ValueError, match="at least one embedding"):
        HierarchicalKMeans.fit(clustered()[:0])
    with pytest.raises(ValueError, match="row 4"):
        HierarchicalKMeans.fit(np.where(np.arange(400)[:, None] == 4, np.nan, clustered()))


@pytest.mark.parametrize("setting", [{"projection_dim": 0}, {"iterations": 0}, {"max_points_per_code": 0}])
def test_an_impossible_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        HierarchicalKMeansConfig(**setting)


def test_progress_is_told_before_each_level_and_at_the_end():
    seen = []
    HierarchicalKMeans.fit(clustered(), num_levels=2, codebook_size=4, progress=lambda done, number: seen.append(done))
    assert seen == [0, 1, 2]
