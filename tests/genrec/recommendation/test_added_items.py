import math

import numpy as np
import pytest
import torch

from genrec.data.catalogue import Catalogue
from genrec.recommendation.added_items import merged
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from genrec.recommendation.search import Found, RowFilters
from trie import PrefixTrie

NEW = np.array([[6, 4, 2], [0, 0, 1]])
"""Codes of the rows 40 and 41."""


@pytest.fixture
def shop(small_generator, prefix_trie, catalogue):
    """Makes the small shop, with two items that came later."""

    def make(**options):
        generator = small_generator()
        generator.add_items(torch.from_numpy(NEW))
        later = catalogue.with_items(Catalogue(np.array(["new0", "new1"]), {"title": ["New 0", "New 1"]}))
        config = RecommendationConfig(**{"beam_size": 42, "blend_weight": 0.5} | options)
        added = PrefixTrie.from_codes(NEW, level_sizes=(7, 5, 3))
        return Recommender.of(generator, prefix_trie, later, config, added=added)

    return make


@pytest.fixture
def before(small_generator, prefix_trie, catalogue):
    """The same shop before they came."""
    config = RecommendationConfig(beam_size=42, blend_weight=0.5)
    return Recommender.of(small_generator(), prefix_trie, catalogue, config)


def ids(found):
    return [entry.item_id for entry in found]


def scores(found):
    return {entry.item_id: entry.score for entry in found}


def log_share_of_added(recommender, history):
    """The plain twin: a softmax over all items as if none had a vector of its own."""
    generator, rows = recommender.generator, torch.tensor([[recommender.catalogue.row_of[item] for item in history]])
    embedding = generator.embedding
    summary = generator.read_history(rows).start[0, 0]
    weights = []
    for row in range(42):
        codes = generator.vocabulary.codes_of(torch.tensor(row))
        vector = sum(embedding.code_vectors.weight[code + [0, 7, 12][level]] for level, code in enumerate(codes))
        weights.append(math.exp((summary @ (vector + embedding.item_vectors.weight.mean(0))).item()))
    return math.log(sum(weights[40:]) / sum(weights))


@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_known_items_keep_their_order_and_distances(shop, before, rank):
    old = before.recommend([["i03", "i09"]], k=42, rank=rank)[0]
    now = [entry for entry in shop().recommend([["i03", "i09"]], k=42, rank=rank)[0] if entry.item_id[0] == "i"]
    assert ids(now) == ids(old)
    distances = [np.diff([entry.score for entry in entries]) for entries in (now, old)]
    assert distances[0] == pytest.approx(distances[1], abs=1e-5)


@torch.no_grad()
def test_added_items_have_the_share_that_their_codes_ask_for(shop, before):
    recommender = shop()
    share = log_share_of_added(recommender, ["i03", "i09"])
    now = scores(recommender.recommend([["i03", "i09"]], k=42, rank="codes", exclude_history=False)[0])
    old = scores(before.recommend([["i03", "i09"]], k=42, rank="codes", exclude_history=False)[0])
    assert math.exp(now["new0"]) + math.exp(now["new1"]) == pytest.approx(math.exp(share), rel=1e-4)
    assert now["i00"] - old["i00"] == pytest.approx(math.log(1 - math.exp(share)), abs=1e-4)


@pytest.mark.parametrize("boost", [1.0, 7.0])
def test_the_item_head_gives_all_items_together_probability_one(shop, boost):
    found = shop(added_items_boost=boost).find([np.array([3, 41])], beam_size=42)
    assert np.exp(found.item_log_probs[found.rows >= 0]).sum() == pytest.approx(1, abs=1e-5)
    assert sorted(found.rows[found.rows >= 0].tolist()) == list(range(42))


@torch.no_grad()
def test_a_boost_multiplies_the_odds(shop):
    share = math.exp(log_share_of_added(shop(), ["i03"]))
    boosted = scores(shop(added_items_boost=9.0).recommend([["i03"]], k=42, rank="codes")[0])
    odds = 9 * share / (1 - share)
    assert math.exp(boosted["new0"]) + math.exp(boosted["new1"]) == pytest.approx(odds / (1 + odds), rel=1e-4)


@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_an_added_item_can_come_first(shop, rank):
    assert ids(shop(added_items_boost=1e4).recommend([["i03"]], k=3, rank=rank)[0])[0] in ("new0", "new1")
    worst = ids(shop().recommend([["i03"]], k=42, rank=rank)[0])
    known = next(item for item in reversed(worst) if item[0] == "i")
    assert ids(shop().recommend([["i03"]], allow=[known, "new0", "new1"], rank=rank)[0])[0] in ("new0", "new1")


@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_filters_hold_for_added_items(shop, rank):
    recommender = shop()
    assert sorted(ids(recommender.recommend([["i03"]], allow=["new0", "new1"], rank=rank)[0])) == ["new0", "new1"]
    assert ids(recommender.recommend([["i03", "new1"]], allow=["new0", "new1"], rank=rank)[0]) == ["new0"]
    assert ids(recommender.recommend([["i03"]], allow=["i05"], rank=rank)[0]) == ["i05"]
    found = ids(recommender.recommend([["new1"]], k=42, deny=["new0"], rank=rank)[0])
    assert len(found) == 40 and not {"new0", "new1"} & set(found)


def test_filters_do_not_change_what_an_item_scores(shop):
    recommender = shop()
    free = scores(recommender.recommend([["i03"]], k=42, rank="codes")[0])
    for options in ({"allow": ["i05", "new0"]}, {"deny": ["new1"]}):
        filtered = scores(recommender.recommend([["i03"]], k=42, rank="codes", **options)[0])
        assert filtered["new0"] == pytest.approx(free["new0"], abs=1e-5)
        assert filtered["i05"] == pytest.approx(free["i05"], abs=1e-5)


def test_requests_with_and_without_filters_are_answered_together(shop):
    recommender = shop()
    histories, allowed = [np.array([3]), np.array([5])], [np.array([40]), None]
    found = recommender.find(histories, beam_size=42, allowed=allowed)
    assert found.rows[0][found.rows[0] >= 0].tolist() == [40]
    assert sorted(found.rows[1][found.rows[1] >= 0].tolist()) == list(range(42))


def test_filters_are_split_at_the_first_added_row():
    filters = RowFilters([np.array([3, 40]), np.array([5])], [np.array([41]), None])
    known, added = filters.within(0, 40), filters.within(40, 2)
    assert [rows.tolist() for rows in known.denied] == [[3], [5]] and [rows.tolist() for rows in added.denied] == [
        [0],
        [],
    ]
    assert known.allowed[0].tolist() == [] and added.allowed[0].tolist() == [1]
    assert known.allowed[1] is None
    assert RowFilters([np.array([3])]).within(40, 2) == RowFilters()


def test_merged_lists_are_in_order_and_certified_down_to_what_may_be_missing_in_either():
    codes = torch.tensor([[-1.0, -3.0, -4.0]]), torch.tensor([[-2.0, -5.0]])
    first = Found(torch.tensor([[1, 2, 3]]), codes[0], codes[0], torch.tensor([-3.5]))
    second = Found(torch.tensor([[8, 9]]), codes[1], codes[1], torch.tensor([-2.5]))
    both = merged(first, second)
    assert both.rows.tolist() == [[1, 8, 2, 3, 9]]
    assert both.code_log_probs.tolist() == [[-1, -2, -3, -4, -5]]
    assert both.certified.tolist() == [2]  # an unseen row of the second may score -2.5, above the -3 of row 2


def test_merged_draws_are_in_the_order_of_their_keys():
    first = Found(
        torch.tensor([[1, 2]]), torch.tensor([[-4.0, -1.0]]), torch.tensor([[3.0, 0.5]]), torch.tensor([-9.0])
    )
    second = Found(torch.tensor([[8]]), torch.tensor([[-2.0]]), torch.tensor([[2.0]]), torch.tensor([1.0]))
    both = merged(first, second)
    assert both.rows.tolist() == [[1, 8, 2]] and both.code_log_probs.tolist() == [[-4, -2, -1]]
    assert both.certified.tolist() == [2]


@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_the_item_head_is_asked_for_a_blend_only(shop, monkeypatch, rank):
    recommender, asked = shop(), []
    ask = recommender.model.item_logits
    monkeypatch.setattr(recommender.model, "item_logits", lambda *given: asked.append(1) or ask(*given))
    recommender.recommend([["i03"]], rank=rank)
    recommender.score_items([["i03"]], ["i05", "new0"])
    assert len(asked) == (rank == "blend")


def test_the_added_items_found_do_not_depend_on_the_beam(shop):
    wide = scores(shop().recommend([["i03"]], k=42, rank="codes")[0])
    narrow = scores(shop().recommend([["i03"]], k=2, rank="codes", beam_size=1, allow=["new0", "new1"])[0])
    assert narrow["new0"] == pytest.approx(wide["new0"], abs=1e-5)


def test_a_boost_of_nothing_is_refused():
    with pytest.raises(ValueError, match="added_items_boost"):
        RecommendationConfig(added_items_boost=0.0)
