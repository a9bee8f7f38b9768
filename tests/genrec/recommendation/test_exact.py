"""Lists that are proven, against the scores of all items."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrec.recommendation import exact
from genrec.recommendation.exact import Limits, first_width, next_width, prove, similar, sure_width
from genrec.recommendation.lists import Recommendation, RecommendationList
from genrec.recommendation.recommender import RecommendationConfig, Request
from genrec.recommendation.search import asks_all

LIMITS = Limits(beam_size=1000, level_size=256, batch_size=8)


def listed(certified, *scores):
    return RecommendationList(tuple(Recommendation("a", score) for score in scores), certified)


class FakeSearch:
    """Proves a list once its beam is as wide as it needs; notes what it was asked."""

    def __init__(self, needed):
        self.needed, self.asked = needed, []

    def __call__(self, places, beam_size):
        self.asked.append((list(places), beam_size))
        return [listed(1 if beam_size >= self.needed[place] else 0, math.log(1 / 500)) for place in places]


def test_a_beam_of_one_over_p_is_sure():
    assert sure_width(math.log(1 / 100)) == 101  # 100, and a bit for rounding
    assert sure_width(0.0) == 2
    assert sure_width(-1e4) == sure_width(-50.0) > 10**17  # no overflow


def test_a_search_begins_narrow_and_never_below_the_list():
    assert [first_width(k, 50) for k in (1, 10, 40, 80)] == [2, 15, 50, 80]


def test_beams_double_until_they_are_sure():
    assert next_width(listed(0, math.log(1 / 100)), 20) == 40
    assert next_width(listed(0, math.log(1 / 100)), 80) == 101
    assert next_width(listed(0, math.log(1 / 100)), 101) == 202


def test_only_lists_without_a_proof_are_searched_again():
    search = FakeSearch({0: 10, 1: 30, 2: 10})
    answers = prove(
        [listed(1, -1.0), listed(0, math.log(1 / 500)), listed(1, -1.0)], search, beam_size=10, limits=LIMITS
    )
    assert search.asked == [([1], 20), ([1], 40)]
    assert [found.exact for found in answers] == [True, True, True]


def test_a_list_that_needs_more_than_the_limit_stays_without_a_proof():
    search = FakeSearch({0: 101})
    limits = LIMITS._replace(beam_size=100)
    answers = prove([listed(0, math.log(1 / 500))], search, beam_size=30, limits=limits)
    assert search.asked == [([0], 60), ([0], 100)]
    assert not answers[0].exact and answers[0].certified == 0


def test_users_with_similar_beams_are_searched_together():
    groups = list(similar({0: 40, 1: 100, 2: 59, 3: 140, 4: 400}, LIMITS))
    assert groups == [([0, 2], 59), ([1, 3], 140), ([4], 400)]
    assert list(similar({}, LIMITS)) == []


def test_a_search_has_no_more_users_than_memory_allows():
    limits = Limits(beam_size=1 << 20, level_size=256, batch_size=8)
    assert limits.users_at_once(1 << 14) == exact.LOGITS_AT_ONCE // (1 << 22) == 4
    assert limits.users_at_once(1) == 8 and limits.users_at_once(1 << 30) == 1
    assert [places for places, _ in similar(dict.fromkeys(range(6), 1 << 14), limits)] == [[0, 1, 2, 3], [4, 5]]


def assert_is_the_top(recommender, history, found, allowed):
    """The list against the scores of all items: the best of those that are allowed, ties in any order."""
    item_ids = recommender.catalogue.item_ids
    scores = dict(
        zip(item_ids.tolist(), recommender.score_items([history], item_ids.tolist())[0].tolist(), strict=True)
    )
    best = sorted((scores[item] for item in allowed), reverse=True)[: len(found)]
    assert [entry.score for entry in found] == pytest.approx(best, abs=1e-5)
    assert [scores[entry.item_id] for entry in found] == pytest.approx(best, abs=1e-5)
    assert len({entry.item_id for entry in found}) == len(found) and {entry.item_id for entry in found} <= set(allowed)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["plain", "added", "shared"]),
    score=st.sampled_from(["joint", "catalog"]),
    k=st.integers(1, 12),
    beam_size=st.sampled_from([None, 1, 5]),
    seed=st.integers(0, 1000),
    taken_out=st.booleans(),
)
def test_exact_lists_are_those_of_scoring_everything(make_recommender, kind, score, k, beam_size, seed, taken_out):
    recommender, random = make_recommender(kind, score=score), np.random.default_rng(seed)
    ids = recommender.catalogue.item_ids
    gone = random.choice(ids, size=15, replace=False).tolist() if taken_out else []
    recommender = recommender.without(gone)
    requests, allowed = [], []
    for _ in range(5):
        history = random.choice(ids, size=random.integers(1, 12)).tolist()
        deny = random.choice(ids, size=5).tolist()
        allow = random.choice(ids, size=20).tolist() if random.random() < 0.5 else None
        brand = "Birk" if random.random() < 0.5 else None
        exclude = bool(random.random() < 0.5)
        requests.append(Request(history, k, exclude, allow, deny, None if brand is None else {"brand": brand}))
        brands = recommender.catalogue.fields["brand"]
        passing = {item for item, text in zip(ids.tolist(), brands, strict=True) if brand in (None, text)}
        left = (passing & set(ids.tolist() if allow is None else allow)) - {*deny, *gone, *(history if exclude else ())}
        allowed.append(left)
    for request, left, found in zip(
        requests, allowed, recommender.answer(requests, beam_size=beam_size, exact=True), strict=True
    ):
        assert found.exact and len(found) == min(k, len(left))
        assert_is_the_top(recommender, request.history, found, left)


def test_plain_certificates_hold_for_merged_lists(make_recommender):
    recommender = make_recommender("added", beam_size=2, added_items_boost=30.0)
    ids, proven = recommender.catalogue.item_ids.tolist(), 0
    for history in ids[:20]:
        found = recommender.recommend([[history]], k=2, exclude_history=False)[0]
        assert_is_the_top(recommender, [history], found[: found.certified], ids)
        proven += found.certified
    assert 0 < proven < 40  # some are proven, and some are not


def test_what_is_proven_of_the_known_items_does_not_depend_on_the_share_of_the_added_ones(make_recommender):
    shares = (make_recommender("added", score="joint", added_items_boost=boost) for boost in (1e-6, 1e6))
    few, many = (each.recommend([[f"i{row:02d}"] for row in range(9)], k=8, beam_size=8) for each in shares)
    # with the boost the four added items come first, and the list goes on with the known ones
    assert [found.certified for found in many] == [min(8, 4 + found.certified) for found in few]
    assert len({found.certified for found in many}) > 1
    assert [entry.item_id for entry in many[0]][4:] == [entry.item_id for entry in few[0]][:4]


def test_everything_is_scored_where_a_beam_would_ask_about_everything(prefix_trie):
    trie = prefix_trie.to("cpu")
    assert prefix_trie.num_nodes == (7, 28, 40)
    assert [asks_all(trie, width) for width in (7, 27, 28, 40)] == [False, False, True, True]


def test_the_end_of_the_budget_is_told(make_recommender):
    recommender = make_recommender(exact_beam_budget=3)
    histories = [[f"i{row:02d}"] for row in range(40)]
    lists = recommender.recommend(histories, k=3, exact=True, beam_size=3)
    unproven = [found for found in lists if not found.exact]
    assert unproven and all(found.certified < len(found) == 3 for found in unproven)
    wider = make_recommender(exact_beam_budget=40).recommend(histories, k=3, exact=True, beam_size=3)
    assert all(found.exact for found in wider)


def test_a_list_shorter_than_asked_for_is_exact(make_recommender):
    found = make_recommender().recommend([["i01"]], k=10, allow=["i02", "i03"], exact=True)[0]
    assert len(found) == found.certified == 2 and found.exact
    assert make_recommender().recommend([["i01"]], allow=["i01"], exact=True)[0].exact  # nothing is left: all is known


@pytest.mark.parametrize("kind", ["plain", "added"])
def test_a_catalogue_of_one_item_is_exact(make_recommender, kind):
    recommender = make_recommender(kind, score="catalog")
    left = recommender.without([item for item in recommender.catalogue.item_ids.tolist() if item != "i07"])
    found = left.recommend([["i01"], ["i02", "i03"]], k=10, exact=True)
    assert [(len(each), each.exact, each[0].item_id) for each in found] == [(1, True, "i07")] * 2
    assert found[0][0].score == pytest.approx(0, abs=1e-6)


def test_a_blend_cannot_be_exact(make_recommender):
    with pytest.raises(ValueError, match="give rank='codes'"):
        make_recommender(rank="blend").recommend([["i01"]], exact=True)
    with pytest.raises(ValueError, match="asked for"):
        make_recommender().recommend([["i01"]], rank="blend", exact=True)
    found = make_recommender(rank="blend").recommend([["i01"]], rank="codes", exact=True)[0]
    assert found.exact and not make_recommender(rank="blend").recommend([["i01"]])[0].exact


def test_no_request_at_all_is_answered(make_recommender):
    assert make_recommender().answer([], exact=True) == []


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="exact_beam_budget"):
        RecommendationConfig(exact_beam_budget=0)
