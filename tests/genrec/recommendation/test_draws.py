"""Samples of a recommender, against the probabilities of all items."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch

from genrec.recommendation.draws import seeds_for, seeds_from
from genrec.recommendation.recommender import Request
from genrec.recommendation.requests import known_request
from trie.noise import gumbel, split

KINDS = ("plain", "added", "shared")


def ids(found):
    return [entry.item_id for entry in found]


def probabilities(recommender, history):
    """Of every item, by scoring all of them."""
    item_ids = recommender.catalogue.item_ids.tolist()
    scores = recommender.score_items([history], item_ids)[0]
    return {item: math.exp(score) for item, score in zip(item_ids, scores.tolist(), strict=True)}


def chance_of(drawn, chances):
    """Probability of these draws in this order, each from what the draws before have left."""
    result, left = 1.0, sum(chances.values())
    for item in drawn:
        result *= chances[item] / left
        left -= chances[item]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_draws_come_as_often_as_sampling_without_replacement_has_them(make_recommender, kind):
    num_draws = 8_000
    recommender = make_recommender(kind, score="catalog", batch_size=num_draws, added_items_boost=3.0)
    recommender = recommender.without(["i02", "i05"])
    history, deny = ["i03", "i09"], ["i08", "i11", "i12"]
    samples = recommender.sample([history] * num_draws, 2, seed=0, deny=deny)
    chances = probabilities(recommender, history)
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    left = {item: chance for item, chance in chances.items() if item not in {*history, *deny, "i02", "i05"}}
    pairs = Counter(tuple(ids(found)) for found in samples)
    assert sum(pairs.values()) == num_draws and {item for pair in pairs for item in pair} <= set(left)
    expected = {pair: num_draws * chance_of(pair, left) for pair in permutations(left, 2)}
    often = {pair: count for pair, count in expected.items() if count >= 5}
    assert len(often) > 50 and any(item.startswith("new") for pair in often for item in pair) == (kind == "added")
    rest = num_draws - sum(often.values())
    distance = sum((pairs[pair] - count) ** 2 / count for pair, count in often.items())
    distance += (num_draws - sum(pairs[pair] for pair in often) - rest) ** 2 / rest
    # Pearson's statistic: mean as many as there are degrees of freedom, variance twice that
    assert abs(distance - len(often)) < 5 * math.sqrt(2 * len(often))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_filter_only_takes_items_out_of_the_draws(make_recommender, kind, temperature):
    recommender = make_recommender(kind, beam_size=2).without(["i07", "i21"])
    requests, everything = [], []
    for seed in range(12):
        history = [f"i{3 * seed + step:02d}" for step in range(3)]
        request = Request(history, 5, deny=["i00", "i33"], where={"brand": {"not": "Alder"}}, seed=seed)
        requests += [request, request._replace(allow=["i01", "i02", "i04", "i38", "new1", "new3"][: 4 + seed % 3])]
        everything += [Request(history, 44, exclude_history=False, seed=seed)] * 2
    found = recommender.draw(requests, temperature=temperature)
    allowed = [set(known_items(recommender, request)) for request in requests]
    for sample, order, left in zip(found, recommender.draw(everything, temperature=temperature), allowed, strict=True):
        expected = [entry for entry in order if entry.item_id in left][:5]
        assert sample.exact and ids(sample) == [entry.item_id for entry in expected]
        assert [entry.score for entry in sample] == pytest.approx([entry.score for entry in expected], abs=1e-4)


def known_items(recommender, request):
    """The items that a request may get."""
    known = known_request(request, 0, recommender.catalogue, recommender._attributes)
    passing = recommender._attributes.passing(known.where)
    for row, item in enumerate(recommender.catalogue.item_ids.tolist()):
        if passing[row] and row not in known.denied and (known.allowed is None or row in known.allowed):
            yield item


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_log_probabilities_of_the_catalog_score(make_recommender, kind):
    recommender = make_recommender(kind, score="catalog")
    chances = probabilities(recommender, ["i03"])
    for score in ("joint", "catalog"):  # what the run is ranked by changes no sample
        found = make_recommender(kind, score=score).sample([["i03"]], 44, seed=5, exclude_history=False)[0]
        assert {entry.item_id: math.exp(entry.score) for entry in found} == pytest.approx(chances, rel=1e-3)


def test_probabilities_at_a_temperature_are_those_of_logits_divided_by_it(make_recommender):
    hot = make_recommender("plain", score="catalog")
    found = hot.sample([["i03"]], 40, seed=5, exclude_history=False, temperature=2.0)[0]
    with torch.no_grad():
        for head in hot.generator.heads:
            head.weight /= 2
            head.bias /= 2
    halved = type(hot).of(hot.generator, hot.trie.trie, hot.catalogue, hot.config)
    chances = probabilities(halved, ["i03"])
    assert {entry.item_id: math.exp(entry.score) for entry in found} == pytest.approx(chances, rel=1e-3)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_the_odds_of_the_added_items_are_tempered_like_a_level(make_recommender, temperature):
    def odds_of_added(at):
        found = make_recommender("added").sample([["i03"]], 44, seed=0, exclude_history=False, temperature=at)[0]
        added = sum(math.exp(entry.score) for entry in found if entry.item_id.startswith("new"))
        assert sum(math.exp(entry.score) for entry in found) == pytest.approx(1, abs=1e-4)
        return added / (1 - added)

    assert odds_of_added(temperature) == pytest.approx(odds_of_added(1.0) ** (1 / temperature), rel=1e-3)


def test_the_coldest_sample_is_the_top_of_the_list(make_recommender):
    recommender = make_recommender("plain", score="catalog", beam_size=40)
    histories = [[f"i{row:02d}"] for row in range(20)]
    samples = recommender.sample(histories, 1, seed=0, temperature=0.001, exclude_history=False)
    # each level takes its likeliest code, as a beam of one does
    best = recommender.recommend(histories, 1, beam_size=1, exclude_history=False)
    assert [ids(found) for found in samples] == [ids(found) for found in best]


def test_a_seed_draws_the_same_in_any_batch_and_another_seed_something_else(make_recommender):
    recommender = make_recommender("added")
    requests = [Request([f"i{row:02d}"], 3 + row, seed=row % 4) for row in range(10)]
    together = recommender.draw(requests)
    assert [ids(found) for found in together] == [ids(recommender.draw([request])[0]) for request in requests]
    same = recommender.sample([["i03"]] * 40, 3, seed=[9] * 40)
    assert len({tuple(ids(found)) for found in same}) == 1
    assert len({tuple(ids(found)) for found in recommender.sample([["i03"]] * 40, 3, seed=9)}) > 20


def test_lists_get_shorter_only_where_items_run_out(make_recommender):
    recommender = make_recommender("added")
    found = recommender.sample([["i01", "new1"]], 10, seed=1, allow=["i01", "i05", "i06", "new0", "new1", "new3"])[0]
    assert sorted(ids(found)) == ["i05", "i06", "new0", "new3"] and found.exact
    assert list(recommender.sample([["i01"]], 10, seed=1, allow=["i01"])[0]) == []


def test_either_part_of_the_catalogue_can_be_all_that_is_left(make_recommender):
    recommender = make_recommender("added")
    items = recommender.catalogue.item_ids.tolist()
    for kept in ("i", "n"):
        left = recommender.without([item for item in items if item[0] != kept])
        found = left.sample([["i01"]], 44, seed=0, exclude_history=False)[0]
        assert sorted(ids(found)) == [item for item in items if item[0] == kept] and found.exact
        assert sum(math.exp(entry.score) for entry in found) == pytest.approx(1, abs=1e-4)


def test_a_budget_that_is_too_small_for_a_filter_is_told(make_recommender):
    history, deny = ["i03"], [f"i{row:02d}" for row in range(30)]
    enough = make_recommender(beam_size=1).sample([history] * 50, 3, seed=0, deny=deny)
    scarce = make_recommender(beam_size=1, exact_beam_budget=3).sample([history] * 50, 3, seed=0, deny=deny)
    assert all(found.exact for found in enough) and 0 < sum(found.exact for found in scarce) < 50
    for found, true in zip(scarce, enough, strict=True):
        assert len(found) == 3 and not set(ids(found)) & set(deny)
        assert ids(found)[: found.certified] == ids(true)[: found.certified]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": [1, 2]}, "one for each of the 1 histories; got 2"),
        ({"seed": 2**63}, "integers of 64 bits, got 9223372036854775808"),
        ({"seed": 1, "temperature": 0.0}, "temperature must lie in 0.001..1000, got 0.0"),
        ({"seed": 1, "temperature": math.inf}, "temperature must lie in"),
        ({"seed": 1, "temperature": math.nan}, "temperature must lie in"),
        ({"seed": 1, "k": 0}, "k must be at least 1"),
        ({"seed": 1, "allow": ["gone"]}, "allow list"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make_recommender, options, message):
    with pytest.raises(ValueError, match=message):
        make_recommender().sample([["i01"]], **options)


def test_seeds_that_follow_from_one_are_those_of_their_places():
    assert seeds_for(7, 5) == seeds_from(7, range(5)) and seeds_for(7, 5)[2:4] == seeds_from(7, [2, 3])
    assert seeds_for([-1, 2**63 - 1], 2) == [-1, 2**63 - 1] and seeds_for(np.int64(7), 2) == seeds_for(7, 2)
    assert len(set(seeds_for(7, 1000)) | set(seeds_for(8, 1000))) == 2000


def test_seeds_that_were_split_draw_independently():
    seeds, place = torch.arange(500), torch.arange(200).expand(500, -1)
    noise = [
        gumbel(each, 1, place).flatten() for each in (seeds, split(seeds, 1), split(seeds, 2), split(seeds + 1, 1))
    ]
    together = torch.corrcoef(torch.stack(noise)) - torch.eye(4)
    assert float(together.abs().max()) < 0.02
