"""Lists with a cap, against taking every item from the best on and passing over full prefixes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genrec.errors import ConfigError
from genrec.generator.beam_search import PrefixCap
from genrec.recommendation.candidates import Candidates, rank_candidates
from genrec.recommendation.diversity import Groups, cap_of_beam, groups_of, within_cap
from genrec.recommendation.recommender import RecommendationConfig, Request
from genrec.recommendation.search import asks_all

CAPPED = {"max_per_prefix": 1, "prefix_depth": 1}


def ids(found):
    return [entry.item_id for entry in found]


def prefixes(recommender, items, depth):
    """The first codes of each item."""
    rows = torch.tensor([recommender.catalogue.row_of[item] for item in items], dtype=torch.int64)
    return [tuple(codes[:depth]) for codes in recommender.generator.vocabulary.codes_of(rows).tolist()]


def plainly(recommender, history, allowed, cap, k):
    """The twin: scores of the best list under a cap."""
    items = recommender.catalogue.item_ids.tolist()
    scores = dict(zip(items, recommender.score_items([history], items)[0].tolist(), strict=True))
    order = sorted(allowed, key=lambda item: -scores[item])
    taken, counts = [], {}
    for item, prefix in zip(order, prefixes(recommender, order, cap.depth), strict=True):
        counts[prefix] = counts.get(prefix, 0) + 1
        if counts[prefix] <= cap.most:
            taken.append(item)
    return [scores[item] for item in taken[:k]], scores


def assert_holds(recommender, found, cap):
    here = prefixes(recommender, ids(found), cap.depth)
    assert all(here.count(prefix) <= cap.most for prefix in here)
    assert len(set(ids(found))) == len(found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["plain", "added", "shared"]),
    score=st.sampled_from(["joint", "catalog"]),
    rank=st.sampled_from(["codes", "blend"]),
    exact=st.booleans(),
    k=st.integers(2, 14),
    cap=st.builds(PrefixCap, depth=st.integers(1, 3), most=st.integers(1, 4)),
    beam_size=st.sampled_from([1, 7, 20]),
    mass=st.sampled_from([1.0, 0.3]),
    seed=st.integers(0, 1000),
)
@example("added", "joint", "codes", True, 14, PrefixCap(1, 1), 1, 1.0, 3)
def test_a_capped_list_is_full_and_what_is_proven_of_it_is_the_best(
    make_recommender, kind, score, rank, exact, k, cap, beam_size, mass, seed
):
    exact = exact and rank == "codes"
    recommender = make_recommender(kind, score=score, beam_mass=mass, added_items_boost=20.0)
    random, items = np.random.default_rng(seed), recommender.catalogue.item_ids
    gone = random.choice(items, size=8, replace=False).tolist()
    recommender = recommender.without(gone)
    requests, allowed = [], []
    for _ in range(4):
        history, deny = (random.choice(items, size=size).tolist() for size in (4, 5))
        allow = random.choice(items, size=25).tolist() if random.random() < 0.5 else None
        requests.append(Request(history, k, True, allow, deny))
        allowed.append(set(items.tolist() if allow is None else allow) - {*history, *deny, *gone})
    options = {"max_per_prefix": cap.most, "prefix_depth": cap.depth, "rank": rank, "exact": exact}
    for request, left, found in zip(
        requests, allowed, recommender.answer(requests, beam_size=beam_size, **options), strict=True
    ):
        best, scores = plainly(recommender, request.history, left, cap, k)
        assert len(found) == len(best) and set(ids(found)) <= left
        assert_holds(recommender, found, cap)
        if rank == "blend":
            assert found.certified is None
            continue
        assert found.exact or not exact
        head = found[: found.certified]
        assert [entry.score for entry in head] == pytest.approx(best[: len(head)], abs=1e-5)
        assert [scores[entry.item_id] for entry in found] == pytest.approx([entry.score for entry in found], abs=1e-5)


def test_the_cap_counts_known_and_added_items_together(make_recommender):
    recommender = make_recommender("added", added_items_boost=30.0, beam_size=44)
    free = ids(recommender.recommend([["i03"]], k=44)[0])
    of_both = {
        prefix
        for prefix in prefixes(recommender, free, 1)
        if len({item[0] for item in free if prefixes(recommender, [item], 1) == [prefix]}) == 2
    }
    assert len(of_both) == 3  # new0 and new2 under code 6, new1 under 0, new3 under 3
    for exact in (False, True):
        found = recommender.recommend([["i03"]], k=7, exact=exact, **CAPPED)[0]
        assert len(found) == 7 and len(set(prefixes(recommender, ids(found), 1))) == 7


def test_a_cap_of_as_many_as_the_list_holds_changes_nothing(make_recommender):
    for rank in ("codes", "blend"):
        recommender = make_recommender("added", rank=rank)
        assert recommender.recommend([["i03"]], 6, max_per_prefix=6) == recommender.recommend([["i03"]], 6)


def test_the_cap_of_a_run_holds_unless_a_call_has_its_own(make_recommender):
    recommender = make_recommender("plain", max_per_prefix=1, prefix_depth=1)
    counts = [
        max(map(here.count, here))
        for options in ({}, {"max_per_prefix": 2}, {"prefix_depth": 2}, {"max_per_prefix": 7})
        if (here := prefixes(recommender, ids(recommender.recommend([["i04"]], 7, **options)[0]), 1))
    ]
    assert counts[:2] == [1, 2] and min(counts[2:]) > 1
    assert recommender.recommend([["i04"]], 7, max_per_prefix=7) == make_recommender().recommend([["i04"]], 7)


def test_a_blend_holds_the_cap_by_its_own_order(make_recommender):
    recommender = make_recommender("plain", rank="blend", beam_size=40)
    free = recommender.recommend([["i03"]], 40)[0]
    here, expected = prefixes(recommender, ids(free), 1), []
    for place, entry in enumerate(free):
        if here[:place].count(here[place]) < 2:
            expected.append(entry.item_id)
    # a beam of 40 keeps 40 * 2 // 10 = 8 of each prefix, and no prefix has more
    assert max(map(here.count, here)) <= 8
    assert ids(recommender.recommend([["i03"]], 10, max_per_prefix=2)[0]) == expected[:10]


def test_a_beam_of_any_width_may_hold_more_of_a_prefix_than_the_list():
    assert cap_of_beam(PrefixCap(1, 2), beam_size=50, k=10) == PrefixCap(1, 10)
    assert cap_of_beam(PrefixCap(1, 2), beam_size=10, k=10) == PrefixCap(1, 2)
    assert cap_of_beam(PrefixCap(1, 3), beam_size=14, k=10) == PrefixCap(1, 4)  # of the others, 10 - 3 in 10 stay


def test_groups_are_of_equal_first_codes(make_recommender):
    recommender = make_recommender("added")
    rows = np.array([[0, 5, 40, -1], [41, 42, 40, 7]])
    items = [f"i{row:02d}" if row < 40 else f"new{row - 40}" for row in rows.ravel() if row >= 0]
    for depth in (1, 2, 3):
        numbers = groups_of(recommender.generator.vocabulary, rows, PrefixCap(depth, 1)).number[rows >= 0]
        codes = prefixes(recommender, items, depth)
        for one, other in np.ndindex(7, 7):
            assert (numbers[one] == numbers[other]) == (codes[one] == codes[other])


def test_what_stays_are_the_best_of_each_group_in_any_order():
    groups = Groups(2, np.array([[4, 4, 4, 9, 4]]))
    scores = np.array([[-3.0, -1.0, -2.0, -9.0, -np.inf]], dtype=np.float32)
    assert within_cap(scores, groups).tolist() == [[False, True, True, True, False]]


def test_what_a_cap_leaves_out_counts_for_no_proof_and_the_others_move_up():
    scores = np.array([[-1.0, -2.0, -3.0, -4.0]], dtype=np.float32)
    found = Candidates(np.array([[5, 6, 7, 8]]), scores, np.array([3]), groups=Groups(1, np.array([[0, 0, 1, 2]])))
    ranked = rank_candidates(found, rank="codes", blend_weight=0.5)
    assert ranked.rows.tolist() == [[5, 7, 8, -1]] and ranked.scores.tolist() == [[-1, -3, -4, -np.inf]]
    assert ranked.certified.tolist() == [2]  # of the three at the head one is gone
    blended = rank_candidates(found._replace(item_log_probs=-scores - 9), rank="blend", blend_weight=1.0)
    assert blended.rows.tolist() == [[8, 7, 6, -1]] and blended.certified is None


def test_a_proof_of_a_capped_list_can_come_from_scoring_everything(make_recommender):
    recommender = make_recommender("plain")
    assert asks_all(recommender.trie, 40)
    scored, searched = (
        recommender.recommend([["i03"]], 5, beam_size=size, exact=True, **CAPPED)[0] for size in (40, 5)
    )
    assert scored.exact and ids(scored) == ids(searched) and len(set(prefixes(recommender, ids(scored), 1))) == 5
    assert [entry.score for entry in scored] == pytest.approx([entry.score for entry in searched], abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_per_prefix": 0}, "max_per_prefix must be at least 1, got 0"),
        ({"max_per_prefix": 1, "prefix_depth": 4}, r"prefix_depth must lie in 1\.\.3, the codes of an ID; got 4"),
        ({"max_per_prefix": 1, "prefix_depth": 0}, "prefix_depth must lie in"),
        ({"prefix_depth": 1}, "give max_per_prefix too"),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(make_recommender, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_recommender().recommend([["i01"]], **wrong)


def test_a_config_that_counts_more_codes_than_an_id_has_is_refused_by_name(make_recommender):
    recommender = make_recommender(max_per_prefix=1, prefix_depth=9)
    with pytest.raises(ConfigError, match=r"recommendation\.prefix_depth must lie in 1\.\.3"):
        recommender.recommend([["i01"]])


@pytest.mark.parametrize("wrong", [{"max_per_prefix": 0}, {"prefix_depth": 0}])
def test_a_config_with_such_a_cap_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RecommendationConfig(**wrong)
