import json
from dataclasses import replace

import numpy as np
import pytest

from genrec.data.collaborative import CollaborativeConfig, TrainingSequences
from genrec.errors import DataError
from genrec.tokenization import TokenizerConfig
from genrec.tokenization import inputs as tokenization_inputs
from genrec.tokenization.fitted import FittedTokenizer
from genrec.tokenization.semantic_ids import KnownItems, fit_semantic_ids, read_semantic_ids
from tokenizer import FSQConfig, RQVAEConfig

KINDS = ("rqvae", "residual_kmeans", "fsq", "opq", "random", "sequential", "collaborative", "hybrid")


@pytest.fixture(scope="module")
def items():
    """90 items of 6 kinds of content; users take 8 neighbours on a circle of all items."""
    random = np.random.default_rng(0)
    content = (random.normal(size=(6, 12))[np.arange(90) % 6] + 0.3 * random.normal(size=(90, 12))).astype(np.float32)
    sequences = np.concatenate([(random.integers(90) + random.permutation(9)[:8]) % 90 for _ in range(150)])
    item_ids = np.array([f"i{row:02d}" for row in range(90)])
    return KnownItems(item_ids, content, TrainingSequences(sequences, np.arange(151) * 8))


def config_of(kind, **options):
    small = {"num_levels": 2, "codebook_size": 6, "rqvae": RQVAEConfig(epochs=3), "fsq": FSQConfig(epochs=2)}
    return TokenizerConfig(kind=kind, **small | {"collaborative": CollaborativeConfig(dim=8)} | options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_every_item_an_id_of_its_own_and_the_same_again(items, kind):
    config = config_of(kind, codebook_size=16)
    first, again = (fit_semantic_ids(items, config, seed=0).semantic_ids for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert len(np.unique(first.codes, axis=0)) == 90
    assert first.item_ids.tolist() == items.item_ids.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_tokenizer_codes_the_known_items_as_before(items, kind, tmp_path):
    config = config_of(kind, codebook_size=16)
    tokenized = fit_semantic_ids(items, config, seed=0)
    tokenized.fitted.save(tmp_path)
    weight = config.blended_weight
    loaded = FittedTokenizer.load(tmp_path, kind=kind, collaborative_weight=weight)
    assert np.array_equal(loaded.tokenizer.encode(tokenized.inputs), tokenized.codes)
    known = loaded.inputs_of_known(items.content)
    assert known is None if kind == "sequential" else np.array_equal(known, tokenized.inputs)


def test_a_blend_is_made_again_for_later_items(items, tmp_path):
    config = config_of("residual_kmeans", collaborative_weight=0.4)
    tokenized = fit_semantic_ids(items, config, seed=0)
    assert tokenized.inputs.shape == (90, 12 + 8)
    tokenized.fitted.save(tmp_path)
    loaded = FittedTokenizer.load(tmp_path, kind="residual_kmeans", collaborative_weight=0.4)
    later = loaded.inputs_of_later(items.content[:5], first_row=90, num_items=5)
    assert np.array_equal(later[:, :12], tokenized.inputs[:5, :12])  # the content's part is the same
    assert later.shape == (5, 20) and not np.array_equal(later[:, 12:], tokenized.inputs[:5, 12:])


def test_a_blend_that_lies_on_disk_gives_the_same_codes_and_leaves_nothing(items, tmp_path, monkeypatch):
    config = config_of("residual_kmeans", collaborative_weight=0.4)
    held = fit_semantic_ids(items, config, seed=0, scratch=tmp_path)
    monkeypatch.setattr(tokenization_inputs, "_BYTES_IN_MEMORY", 1)
    on_disk = fit_semantic_ids(items, config, seed=0, scratch=tmp_path)
    assert isinstance(on_disk.inputs, np.memmap) and not isinstance(held.inputs, np.memmap)
    assert on_disk.semantic_ids.fingerprint == held.semantic_ids.fingerprint
    assert not list(tmp_path.iterdir())


def neighbours_with_one_code(items, codes):
    """Share of steps in the sequences that stay under one code of the first level."""
    sequences = items.sequences.items.reshape(-1, 8)
    return (codes[sequences[:, 1:], 0] == codes[sequences[:, :-1], 0]).mean()


def test_collaborative_codes_follow_the_sequences_and_content_codes_the_content(items):
    by_content = fit_semantic_ids(items, config_of("residual_kmeans", collaborative_weight=0.0), seed=0).codes
    by_sequences = fit_semantic_ids(items, config_of("collaborative"), seed=0).codes
    blended = fit_semantic_ids(items, config_of("residual_kmeans", collaborative_weight=0.8), seed=0).codes
    assert neighbours_with_one_code(items, by_sequences) > 0.6
    assert neighbours_with_one_code(items, by_content) < 0.3
    assert neighbours_with_one_code(items, blended) > 0.4


def test_sequential_codes_count_in_the_order_of_first_appearance(items):
    codes = fit_semantic_ids(items, config_of("sequential", codebook_size=10), seed=0).codes
    appeared = list(dict.fromkeys(items.sequences.items.tolist()))
    assert [(10 * codes[row, 0] + codes[row, 1]).item() for row in appeared] == list(range(len(appeared)))


@pytest.mark.parametrize("collisions", ["balanced", "nearest_free"])
def test_items_may_be_moved_to_free_codes_near_theirs(items, collisions):
    tokenized = fit_semantic_ids(items, config_of("residual_kmeans", codebook_size=12, collisions=collisions), seed=0)
    kept = fit_semantic_ids(items, config_of("residual_kmeans", codebook_size=12, collisions="keep"), seed=0)
    assert np.array_equal(tokenized.codes, kept.codes)
    assert len(np.unique(tokenized.semantic_ids.codes, axis=0)) == 90 > len(np.unique(kept.semantic_ids.codes, axis=0))
    assert 0 < tokenized.semantic_ids.num_moved(tokenized.codes) < 90


def test_too_few_items_for_the_codebook_are_bad_data(items):
    with pytest.raises(DataError, match="cannot be fitted"):
        fit_semantic_ids(items, config_of("residual_kmeans", codebook_size=91), seed=0)


def test_sequences_without_neighbours_are_bad_data(items):
    alone = KnownItems(items.item_ids, items.content, TrainingSequences(np.arange(3), np.arange(4)))
    with pytest.raises(DataError, match="than chance would have it"):
        fit_semantic_ids(alone, config_of("collaborative"), seed=0)


def test_ready_made_codes_are_taken_as_they_are(items, tmp_path):
    codes = {item: [row % 5, row // 5] for row, item in enumerate(items.item_ids.tolist())}
    (tmp_path / "codes.json").write_text(json.dumps(codes))
    tokenized = read_semantic_ids(tmp_path / "codes.json", items.item_ids, TokenizerConfig(codes="codes.json"))
    assert tokenized.semantic_ids.codes.tolist() == list(codes.values())
    assert (tokenized.level_sizes, tokenized.fitted) == ((5, 18), None)


def test_where_the_sequences_say_nothing_a_blend_gives_way_to_content_unless_it_was_asked_for(items, caplog):
    mute = replace(items, sequences=TrainingSequences(np.arange(90), np.arange(91)))  # one item a user
    tokenized = fit_semantic_ids(mute, config_of("residual_kmeans"), seed=0)
    assert tokenized.made_by.blended_weight == 0 and np.array_equal(tokenized.inputs, items.content)
    assert "reads content alone" in caplog.text
    with pytest.raises(DataError, match="collaborative_weight 0"):
        fit_semantic_ids(mute, config_of("residual_kmeans", collaborative_weight=0.5), seed=0)
