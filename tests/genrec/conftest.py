"""A small untrained generator over a small catalogue, shared by the tests of search, recommender and training."""

from itertools import product

import numpy as np
import pytest
import torch

from genrec.data.catalogue import Catalogue
from genrec.generator.config import GeneratorConfig, GeneratorOptions
from genrec.generator.model import Generator
from trie import PrefixTrie

LEVEL_SIZES = (7, 5, 3)
NUM_ITEMS = 40
CODES = np.array(list(product(*map(range, LEVEL_SIZES))))[np.random.default_rng(0).permutation(105)[:NUM_ITEMS]]


def make_generator(encoder="causal_items", **options):
    chosen = {"width": 16, "num_heads": 2, "feed_forward_dim": 32, "max_items": 8, "decoder_layers": 2} | options
    config = GeneratorConfig.from_options(
        GeneratorOptions(encoder=encoder, **chosen), level_sizes=LEVEL_SIZES, num_items=NUM_ITEMS
    )
    config.initializer_range = 0.3  # far from uniform, so that ranks mean something
    torch.manual_seed(0)
    generator = Generator(config).eval()
    generator.vocabulary.set_codes(torch.from_numpy(CODES))
    return generator


@pytest.fixture
def small_generator():
    return make_generator


@pytest.fixture
def codes():
    return CODES


@pytest.fixture
def prefix_trie():
    return PrefixTrie.from_codes(CODES, level_sizes=LEVEL_SIZES)


@pytest.fixture
def catalogue():
    item_ids = np.array([f"i{row:02d}" for row in range(NUM_ITEMS)])
    return Catalogue(item_ids, {"title": [f"Title {row}" for row in range(NUM_ITEMS)]})


@pytest.fixture
def score_every_item():
    """Log-probability of every item, teacher-forced: the plain twin of the beam search."""

    def score(generator, history):
        targets = torch.arange(NUM_ITEMS)[:, None]
        histories = history.expand(NUM_ITEMS, -1)
        if generator.config.encoder == "causal_items":
            spread = torch.full((NUM_ITEMS, history.shape[-1]), -1)
            spread[:, -1:] = targets
            targets = spread
        logits = generator(histories, targets).code_logits
        return sum(
            logits[level].log_softmax(-1).gather(1, torch.from_numpy(CODES[:, level])[:, None])[:, 0]
            for level in range(len(LEVEL_SIZES))
        )

    return score
