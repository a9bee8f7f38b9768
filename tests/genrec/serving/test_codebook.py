"""Trees with items that came later, with shared IDs and without what was taken out, against plain loops."""

import numpy as np
import pytest
import torch

from genrec.data.catalogue import Catalogue
from genrec.errors import UnknownItemError
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from genrec.serving import codebook
from genrec.serving.codebook import Codebook
from genrec.serving.explaining import Why, explained
from trie import PrefixTrie

ADDED = np.array([[6, 4, 2], [0, 0, 1], [6, 4, 2], [3, 1, 0]])
SIZES = (7, 5, 3)


@pytest.fixture
def recommender(small_generator, codes):
    """40 items, and four that came later, two of which share an ID."""
    generator = small_generator()
    generator.add_items(torch.from_numpy(ADDED))
    item_ids = np.array([f"i{row:02d}" for row in range(40)] + [f"new{row}" for row in range(4)])
    catalogue = Catalogue(item_ids, {"title": [f"Title {row}" for row in range(44)]})
    trie, added = (PrefixTrie.from_codes(each, level_sizes=SIZES) for each in (codes, ADDED))
    config = RecommendationConfig(rank="codes", blend_weight=0.5, beam_size=4)
    return Recommender.of(generator, trie, catalogue, config, added=added, code_names={"0": "first", "0.1": "second"})


@pytest.mark.parametrize("prefix", [[], [0], [6], [6, 4], [0, 0, 1], [6, 4, 2], [3, 1]])
@pytest.mark.parametrize("taken_out", [[], ["i00", "i07", "new0"]])
def test_items_and_children_are_those_of_a_loop_over_all_items(recommender, codes, prefix, taken_out):
    all_codes = dict(zip(recommender.catalogue.item_ids, [*codes, *ADDED], strict=True))
    kept = {item_id: row.tolist() for item_id, row in all_codes.items() if item_id not in taken_out}
    below = {item_id: row for item_id, row in kept.items() if row[: len(prefix)] == prefix}
    served = recommender.without(taken_out) if taken_out else recommender
    found = Codebook(served).below(prefix, limit=100, offset=0)
    assert {entry["item_id"]: entry["codes"] for entry in found["entries"]} == below
    assert (found["items"], found["share"]) == (len(below), pytest.approx(len(below) / len(kept)))
    if len(prefix) < 3:
        counts = {}
        for row in below.values():
            counts[row[len(prefix)]] = counts.get(row[len(prefix)], 0) + 1
        assert {child["code"]: child["items"] for child in found["children"]} == counts
    else:
        assert found["children"] == []


def test_names_stand_at_their_prefixes(recommender):
    root = Codebook(recommender).below([], limit=1, offset=0)
    assert {child["code"]: child["name"] for child in root["children"]}[0] == "first"
    below = Codebook(recommender).below([0], limit=1, offset=0)
    assert below["name"] == "first"
    assert {child["code"]: child["name"] for child in below["children"] if child["name"]} == {1: "second"}


def test_a_prefix_of_which_everything_was_taken_out_is_not_there(recommender):
    with pytest.raises(UnknownItemError, match=r"6\.4\.2"):
        Codebook(recommender.without(["new0", "new2", *_known_below(recommender)])).below([6, 4, 2], limit=1, offset=0)


def _known_below(recommender):
    entries = Codebook(recommender).below([6, 4, 2], limit=100, offset=0)["entries"]
    return [entry["item_id"] for entry in entries]


def test_no_more_children_and_bars_than_promised(recommender, monkeypatch):
    monkeypatch.setattr(codebook, "MAX_CHILDREN", 2)
    monkeypatch.setattr(codebook, "MAX_BARS", 3)
    found = Codebook(recommender).below([], limit=1, offset=0)
    assert (len(found["children"]), found["num_children"]) == (2, 7)
    assert [len(level["most_used"]) for level in found["levels"]] == [3, 3, 3]
    assert found["levels"][0]["used"] == 7


@pytest.mark.parametrize("item_id", ["new1", "new2", "i05"])
def test_added_items_are_explained_by_their_own_tree(recommender, item_id):
    told = explained(recommender, Why(["i01", "new0"], item_id, 2))
    assert told["is_added"] == item_id.startswith("new")
    assert (told["beam_size"], len(told["codes"])) == (10, 3)
    kept = [choice["survives"] for choice in told["codes"]]
    assert kept == sorted(kept, reverse=True)  # a prefix that is lost never comes back
    parts = [choice["log_prob"] for choice in told["codes"]]
    total = sum(parts) + told["share_log_prob"] - np.log(told["num_sharers"])
    assert told["score"] == pytest.approx(total, abs=1e-5)
