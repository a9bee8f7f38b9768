import numpy as np
import pytest
import torch

from tokenizer.contract import Decoder, Tokenizer
from tokenizer.fsq import FSQ, FSQConfig
from tokenizer.sealed_json import read_sealed_json, sealed_json

QUICK = FSQConfig(epochs=15, batch_size=100, hidden_sizes=(16,))


def items(num_items=400, dim=12, seed=0):
    """Normal items of a few strong directions."""
    mix = np.random.default_rng(0).normal(size=(dim, dim)) * np.geomspace(4, 0.1, dim)[:, None]
    return (np.random.default_rng(seed).normal(size=(num_items, dim)) @ mix + 5).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    return FSQ.fit(items(), num_levels=2, codebook_size=20, seed=1, config=QUICK)


def test_an_fsq_is_a_tokenizer_that_decodes(fitted):
    assert isinstance(fitted, Tokenizer) and isinstance(fitted, Decoder)
    codes = fitted.encode(items())
    assert fitted.level_sizes == (20, 20)
    assert codes.shape == (400, 2) and codes.dtype == np.int64 and codes.min() >= 0 and codes.max() < 20


def test_more_scalars_than_dimensions_use_turned_axes():
    flat = items(500, dim=3)
    fitted = FSQ.fit(flat, num_levels=3, codebook_size=16, config=QUICK)
    codes = fitted.encode(flat)
    assert min(len(np.unique(level_codes)) for level_codes in codes.T) >= 12
    assert len(np.unique(codes, axis=0)) > 150


def test_distances_to_the_last_codes_are_those_on_the_grid(fitted):
    codes = np.random.default_rng(0).integers(0, 20, size=(6, 2))
    distances = fitted.last_level_distances(items(6), codes)
    network = fitted.network
    with torch.no_grad():
        bounded = network.double().bounded(torch.from_numpy(fitted.preparation.apply(items(6)))).numpy()
        network.float()
    assert distances.shape == (6, 20)
    for row in range(6):
        for code in range(20):
            chosen = torch.tensor([[int(codes[row, 0]), code]])
            plain = np.square(bounded[row] - network.values_of_codes(chosen)[0].numpy()).sum()
            assert distances[row, code] == pytest.approx(plain, rel=1e-5)


def test_the_last_code_is_the_one_of_least_distance(fitted):
    codes = fitted.encode(items())
    assert np.array_equal(fitted.last_level_distances(items(), codes).argmin(axis=1), codes[:, -1])


def test_decoding_keeps_most_of_the_spread(fitted):
    decoded = fitted.decode(fitted.encode(items()))
    spread = np.square(items() - items().mean(axis=0)).sum()
    assert np.square(decoded - items()).sum() / spread < 0.3


def test_codes_do_not_depend_on_the_order_of_the_rows(fitted):
    shuffled = np.random.default_rng(3).permutation(400)
    again = FSQ.fit(items()[shuffled], num_levels=2, codebook_size=20, seed=1, config=QUICK)
    assert np.array_equal(again.encode(items()), fitted.encode(items()))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone(fitted):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = FSQ.fit(items(), num_levels=2, codebook_size=20, seed=1, config=QUICK)
    for ours, theirs in zip(again.network.parameters(), fitted.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_item_is_coded_alone_as_among_others(fitted):
    alone = np.concatenate([fitted.encode(item[None]) for item in items()])
    assert np.array_equal(alone, fitted.encode(items()))
    assert fitted.encode(items()[:0]).shape == (0, 2)


def test_new_items_and_memory_mapped_ones_are_coded(fitted, tmp_path):
    new = items(50, seed=9)
    np.save(tmp_path / "new.npy", new)
    assert np.array_equal(fitted.encode(np.load(tmp_path / "new.npy", mmap_mode="r")), fitted.encode(new))


@pytest.mark.parametrize("preparation", ["raw", "centre", "standardise", "whiten"])
def test_a_saved_fsq_comes_back(tmp_path, preparation):
    config = FSQConfig(preparation=preparation, epochs=1, scalars=(3, 2), hidden_sizes=())
    fitted = FSQ.fit(items(), num_levels=2, codebook_size=7, seed=7, config=config)
    fitted.save_pretrained(tmp_path)
    loaded = FSQ.from_pretrained(tmp_path)
    codes = fitted.encode(items())
    assert np.array_equal(loaded.encode(items()), codes)
    assert np.array_equal(loaded.decode(codes), fitted.decode(codes))
    assert (loaded.level_sizes, loaded.config, loaded.seed) == ((6, 6), config, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "OPQ"}, "expected a FSQ, but found 'OPQ'"),
        ({"scalars": [5, 5]}, "'scalars' whose product is codebook_size 20, but found"),
        ({"scalars": "5x4"}, "'scalars' whose product"),
        ({"scalars": [20]}, "it does not belong to"),
        ({"num_levels": 3}, r"as float32 \(6, 12\)"),
        ({"config": {"epochs": 0}}, "epochs must be at least 1"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_folder(fitted, tmp_path, changes, message):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(sealed_json(read_sealed_json(path.read_bytes()) | changes))
    with pytest.raises(ValueError, match=message) as raised:
        FSQ.from_pretrained(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_flipped_bit_is_noticed(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-7] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="is damaged"):
        FSQ.from_pretrained(tmp_path)


def test_what_cannot_be_fitted_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"scalars \(8, 8\) make 64 codes, but codebook_size is 32; .* \(8, 4\)"):
        FSQ.fit(items(), codebook_size=32, config=FSQConfig(scalars=(8, 8)))
    with pytest.raises(ValueError, match="at least one embedding"):
        FSQ.fit(items()[:0])
    with pytest.raises(ValueError, match="row 4"):
        FSQ.fit(np.where(np.arange(400)[:, None] == 4, np.nan, items()))


def test_a_training_that_diverges_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"loss is (nan|inf) in epoch \d of 3; lower learning_rate"):
        FSQ.fit(items(), codebook_size=16, config=FSQConfig(epochs=3, learning_rate=1e30))


def test_items_that_are_all_alike_are_fitted_with_an_alarm(caplog):
    alike = np.ones((64, 8), dtype=np.float32)
    fitted = FSQ.fit(alike, num_levels=2, codebook_size=8, config=FSQConfig(epochs=1))
    assert len(np.unique(fitted.encode(alike), axis=0)) == 1
    assert np.allclose(fitted.decode(fitted.encode(alike)), 1, atol=0.1)
    assert "collapse" in caplog.text


def test_other_widths_and_unknown_codes_are_refused(fitted):
    with pytest.raises(ValueError, match=r"fitted on 12-dimensional .* have 11"):
        fitted.encode(items()[:, :11])
    with pytest.raises(ValueError, match="code 20 of row 0 at level 1"):
        fitted.decode(np.array([[0, 20]]))


@pytest.mark.parametrize(
    "setting",
    [
        {"scalars": (8, 1)},
        {"scalars": ()},
        {"epochs": 0},
        {"hidden_sizes": (0,)},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"dropout": 1.0},
        {"train_items": 0},
    ],
)
def test_an_impossible_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        FSQConfig(**setting)


def test_progress_is_told_after_each_epoch():
    seen = []
    config = FSQConfig(epochs=3, hidden_sizes=())
    FSQ.fit(items(50), config=config, progress=lambda done, number: seen.append((done, number)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
