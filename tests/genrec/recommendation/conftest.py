"""Recommenders over the small catalogue: plain, with items that came later, and with leaves that items share."""

import numpy as np
import pytest
import torch

from genrec.data.catalogue import Catalogue
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from trie import PrefixTrie

ADDED = np.array([[6, 4, 2], [0, 0, 1], [6, 4, 2], [3, 1, 0]])
"""Codes of the rows 40 to 43; two of them are the same."""


@pytest.fixture
def fields():
    """Fields of the small catalogue's 40 items."""
    return {
        "title": [f"Title {row}" for row in range(40)],
        "brand": [("Alder", "Birk", "")[row % 3] for row in range(40)],
        "price": [("", "soon", *(f"{row / 2:g}" for row in range(38)))[row] for row in range(40)],
        "categories": [f"Home > {'Kitchen' if row % 2 else 'Bath'}" + "; Gifts" * (row % 5 == 0) for row in range(40)],
    }


@pytest.fixture
def make_recommender(small_generator, codes, fields):
    """Makes one by `kind`: "plain", "added" (four more items), or "shared" (every third item shares an ID)."""

    def make(kind="plain", **options):
        generator = small_generator()
        item_ids = np.array([f"i{row:02d}" for row in range(40)])
        catalogue, added = Catalogue(item_ids, fields), None
        if kind == "shared":
            codes_here = codes.copy()
            codes_here[::3] = codes[1]
            generator.vocabulary.set_codes(torch.from_numpy(codes_here))
        else:
            codes_here = codes
        if kind == "added":
            generator.add_items(torch.from_numpy(ADDED))
            later = {"title": [f"New {row}" for row in range(4)], "brand": ["Birk", "", "Birk", "Cedar"]}
            catalogue = catalogue.with_items(Catalogue(np.array([f"new{row}" for row in range(4)]), later))
            added = PrefixTrie.from_codes(ADDED, level_sizes=(7, 5, 3))
        config = RecommendationConfig(**{"rank": "codes", "blend_weight": 0.5, "batch_size": 3} | options)
        trie = PrefixTrie.from_codes(codes_here, level_sizes=(7, 5, 3))
        names = {"0": "first", "0.1": "first second"}
        return Recommender.of(generator, trie, catalogue, config, added=added, code_names=names)

    return make
