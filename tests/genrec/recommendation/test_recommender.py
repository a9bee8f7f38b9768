import math

import numpy as np
import pytest
import torch

from genrec.errors import UnknownItemError
from genrec.recommendation.candidates import Candidates, blend, rank_candidates
from genrec.recommendation.recommender import Recommendation, RecommendationConfig, Recommender, Request


@pytest.fixture
def recommender(small_generator, prefix_trie, catalogue):
    config = RecommendationConfig(beam_size=40, rank="codes", blend_weight=0.5, batch_size=2, score="joint")
    return Recommender.of(small_generator(), prefix_trie, catalogue, config)


def ids(found):
    return [entry.item_id for entry in found]


def test_the_list_holds_the_best_items_by_exact_score(recommender, score_every_item):
    exact = score_every_item(recommender.generator, torch.tensor([[3, 9]])).argsort(descending=True).tolist()
    found = recommender.recommend([["i03", "i09"]], k=5, exclude_history=False)[0]
    assert ids(found) == [f"i{row:02d}" for row in exact[:5]]
    assert isinstance(found[0], Recommendation)
    assert found.certified == 5


def test_the_whole_history_is_excluded_however_few_items_the_model_reads(recommender):
    history = [f"i{row:02d}" for row in range(20)]
    assert recommender.generator.config.max_items < len(history)
    found = recommender.recommend([history], k=40)[0]
    assert sorted(ids(found)) == [f"i{row:02d}" for row in range(20, 40)]


def test_scores_are_log_probabilities_in_descending_order(recommender):
    for rank in ("codes", "blend"):
        scores = [entry.score for entry in recommender.recommend([["i01"]], k=20, rank=rank)[0]]
        assert scores == sorted(scores, reverse=True)
        assert max(scores) <= 0


def test_a_blend_makes_no_claim_to_be_exact(recommender):
    assert recommender.recommend([["i01"]], rank="blend")[0].certified is None


def test_allowed_and_denied_items_hold_together(recommender):
    found = recommender.recommend([["i01"]], k=10, allow=["i01", "i05", "i06", "i07"], deny=["i06"])[0]
    assert sorted(ids(found)) == ["i05", "i07"]


def test_requests_with_different_filters_are_answered_in_their_order(recommender):
    requests = [
        Request(["i01"], k=3, allow=["i02", "i03", "i04"]),
        Request(["i02", "i03", "i04"], k=2),
        Request(["i05"], k=1, exclude_history=False, allow=["i05"]),
    ]
    first, second, third = recommender.answer(requests)
    assert sorted(ids(first)) == ["i02", "i03", "i04"]
    assert len(second) == 2
    assert ids(third) == ["i05"]


def test_unknown_ids_are_skipped_and_listed(recommender):
    found = recommender.recommend([["i01", "gone", "i02"]])[0]
    assert found.ignored == ("gone",)
    assert ids(found) == ids(recommender.recommend([["i01", "i02"]])[0])


@pytest.mark.parametrize("history", [[], ["gone"], ["gone", "lost"]])
def test_a_history_without_a_known_item_is_an_error(recommender, history):
    with pytest.raises(UnknownItemError, match="history 2"):
        recommender.recommend([["i01"], history])


@pytest.mark.parametrize("allow", [[], ["gone"]])
def test_an_empty_allow_list_never_means_everything(recommender, allow):
    with pytest.raises(ValueError, match="allow list"):
        recommender.recommend([["i01"]], allow=allow)


def test_a_list_may_be_longer_than_the_beam(recommender):
    assert len(recommender.recommend([["i01"]], k=15, beam_size=2)[0]) == 15


def test_nothing_left_is_an_empty_list(recommender):
    assert list(recommender.recommend([["i01"]], allow=["i01"])[0]) == []


@pytest.mark.parametrize("wrong", [{"beam_size": 0}, {"k": 0}])
def test_options_out_of_range_are_refused(recommender, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        recommender.answer([Request(["i01"], k=wrong.pop("k", 1))], **wrong)


def test_a_text_is_no_history(recommender):
    with pytest.raises(ValueError, match="list of item ids"):
        recommender.recommend(["i01"])


def candidates():
    return Candidates(
        rows=np.array([[4, 7, -1]]),
        code_log_probs=np.array([[-1.0, -2.0, -np.inf]], dtype=np.float32),
        item_log_probs=np.array([[-3.0, -1.0, -np.inf]], dtype=np.float32),
        certified=np.array([2]),
    )


def test_candidates_that_were_found_for_their_codes_cannot_be_blended():
    with pytest.raises(ValueError, match="find the candidates with rank='blend'"):
        blend(candidates()._replace(item_log_probs=None), 0.5)


def test_a_blend_is_the_weighted_mean_normalised_over_the_beams_items():
    # 0.5 * (-1) + 0.5 * (-3) = -2 and 0.5 * (-2) + 0.5 * (-1) = -1.5
    total = math.log(math.exp(-2) + math.exp(-1.5))
    assert blend(candidates(), 0.5)[0, :2].tolist() == pytest.approx([-2 - total, -1.5 - total])
    ranked = rank_candidates(candidates(), rank="blend", blend_weight=0.5)
    assert ranked.rows.tolist() == [[7, 4, -1]]


@pytest.mark.parametrize(("weight", "first"), [(0.0, 4), (1.0, 7)])
def test_the_ends_of_the_blend_are_the_two_readings(weight, first):
    assert rank_candidates(candidates(), rank="blend", blend_weight=weight).rows[0, 0] == first
