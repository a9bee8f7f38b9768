import numpy as np
import pytest

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.blend_weights import BLEND_WEIGHTS, best_weight, ranks_by_weight
from genrec.recommendation.recommender import RecommendationConfig, Recommender


def test_the_weight_with_the_best_ndcg_wins_and_of_equal_ones_the_lowest():
    ranks = np.full((len(BLEND_WEIGHTS), 2), np.inf)
    ranks[3] = ranks[7] = [0, np.inf]
    choice = best_weight(ranks)
    assert choice.weight == 0.3 and list(choice.ndcg) == [str(weight) for weight in BLEND_WEIGHTS]
    assert choice.ndcg["0.3"] == pytest.approx(0.5) and choice.ndcg["1.0"] == 0


def test_the_ends_of_the_scale_are_the_codes_and_the_item_head_alone(small_generator, prefix_trie, catalogue):
    recommender = Recommender.of(small_generator(), prefix_trie, catalogue, RecommendationConfig(beam_size=40))
    items, offsets = np.array([3, 9, 12, 4, 7, 20], dtype=np.int32), np.array([0, 4, 6])
    interactions = Interactions(np.array(["a", "b"]), catalogue.item_ids, offsets, items)
    ranks = ranks_by_weight(recommender, interactions, Cases(np.array([0, 1]), np.array([3, 5])), beam_size=40)
    for case, (history, target) in enumerate(((items[:3], 4), (items[4:5], 20))):
        found = recommender.find([history], beam_size=40)
        for row, scores in ((0, found.code_log_probs), (-1, found.item_log_probs)):
            of_target = scores[0][found.rows[0] == target]
            assert ranks[row, case] == (scores[0] > of_target).sum()
