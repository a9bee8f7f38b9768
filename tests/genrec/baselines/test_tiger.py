"""TIGER: tokens and back, the loss against T5's own, and both searches against every item's score."""

from itertools import product

import numpy as np
import pytest
import torch

from genrec.baselines.tiger import CodeObjective, TIGERConfig
from genrec.baselines.tiger_tokens import PADDING_TOKEN, CodeTokens
from genrec.baselines.trained import CodedItems
from genrec.data.batches import Batch
from tokenizer import SemanticIDs
from trie import PrefixTrie

LEVEL_SIZES = (4, 3, 5)
CODES = np.array(list(product(*map(range, LEVEL_SIZES))))[np.random.default_rng(0).permutation(60)[:30]]
CODES[7] = CODES[3]  # two items with one ID
SMALL = TIGERConfig(width=16, num_layers=1, num_heads=2, head_dim=8, feed_forward_dim=32, max_items=4)
HISTORIES = [np.array([3, 5, 7, 1, 2]), np.array([29])]


@pytest.fixture
def coded():
    semantic_ids = SemanticIDs.from_codes(CODES, level_sizes=LEVEL_SIZES, collisions="keep")
    return CodedItems(semantic_ids, PrefixTrie.from_codes(CODES, level_sizes=LEVEL_SIZES))


@pytest.fixture
def model(coded):
    torch.manual_seed(0)
    return SMALL.build(30, coded).eval()


def with_options(model, **options):
    model.config = TIGERConfig(**{**vars(SMALL), **options})
    return model


def score_every_item(model, history):
    """Teacher-forced log-probability of each item's codes; items that share an ID share it."""
    histories = torch.from_numpy(history[-4:])[None].expand(30, -1)
    logits, tokens = model(histories, torch.arange(30)[:, None])
    score = logits.log_softmax(-1).gather(2, tokens[..., None]).sum((1, 2))
    sharing = torch.tensor([(codes == CODES).all(1).sum() for codes in CODES])
    return (score - sharing.log()).detach()


def test_tokens_lead_back_to_the_codes(coded):
    tokens = CodeTokens(coded.semantic_ids)
    assert tokens.num_tokens == 2 + 4 + 3 + 5
    written = tokens.of_items(torch.arange(30))
    assert [[tokens.by_level[level].index(t) for level, t in enumerate(row)] for row in written.tolist()] == (
        CODES.tolist()
    )
    assert not set(tokens.by_level[0]) & set(tokens.by_level[1]) and PADDING_TOKEN not in tokens.by_level[0]


def test_a_history_is_the_tokens_of_its_items_and_padding(coded):
    tokens = CodeTokens(coded.semantic_ids)
    read = tokens.of_histories(torch.tensor([[5, 9], [2, -1]]))
    assert read[0].tolist() == [*tokens.of_items(torch.tensor(5)), *tokens.of_items(torch.tensor(9))]
    assert read[1, 3:].tolist() == [0, 0, 0]


def test_the_loss_is_the_one_of_t5(model):
    batch = Batch(torch.tensor([[5, 9], [2, -1]]), torch.tensor([[1], [4]]))
    losses = CodeObjective().losses(model, batch)
    read = model.tokens.of_histories(batch.history)
    model.t5.config.decoder_start_token_id = 0  # T5 shifts labels by it
    labels = model.tokens.of_items(batch.targets[:, 0])
    theirs = model.t5(input_ids=read, attention_mask=(read != 0).long(), labels=labels).loss
    torch.testing.assert_close(losses.total / 2, theirs)
    torch.testing.assert_close(sum(losses.parts.values()) / 3, losses.total.detach())


@pytest.mark.parametrize("decoding", ["trie", "generate"])
def test_beams_as_wide_as_the_catalogue_score_every_item(model, decoding):
    scores = with_options(model, beam_size=60, decoding=decoding).scores(HISTORIES)
    expected = torch.stack([score_every_item(model, history) for history in HISTORIES])
    torch.testing.assert_close(torch.from_numpy(scores), expected, atol=1e-4, rtol=1e-4)
    assert scores[0, 3] == scores[0, 7]


def test_both_searches_find_the_same_lists(model):
    by_trie = with_options(model, beam_size=20, decoding="trie").scores(HISTORIES)
    by_generate = with_options(model, beam_size=20, decoding="generate").scores(HISTORIES)
    for ours, theirs in zip(by_trie, by_generate, strict=True):
        best = np.argsort(-ours, kind="stable")[:18]  # at the edge an ID of two items counts as one beam for generate
        assert set(np.argsort(-theirs, kind="stable")[:18]) == set(best)
        np.testing.assert_allclose(ours[best], theirs[best], atol=1e-4)


def test_the_weights_are_saved_without_the_tables_of_items(model):
    assert not [name for name in model.state_dict() if "item_tokens" in name]


def test_without_codes_there_is_no_model():
    with pytest.raises(ValueError, match="semantic IDs"):
        SMALL.build(30, None)


@pytest.mark.parametrize(("key", "value"), [("beam_size", 10), ("num_layers", 0), ("dropout", -0.1)])
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        TIGERConfig(**{key: value})
