"""Recommending by searches in fixed shapes; on the CPU they are run again where a GPU replays a graph."""

import numpy as np
import pytest

from genrec.recommendation.captured import captured_searches
from genrec.recommendation.recommender import Request

REQUESTS = [
    Request(["i01"], k=5, deny=["i05"]),
    Request([f"i{row:02d}" for row in range(20)], k=6),
    Request(["i03", "i09"], k=3, allow=["i02", "i04", "i08"]),
    Request(["i30", "i02", "i11"], k=6, exclude_history=False, where={"categories": "Bath"}),
]


def replaying(recommender):
    """The same, but its default searches are replayed as they are on a GPU; and these searches."""
    scores = {recommender.trie: recommender.config.score}
    if recommender.added is not None:
        scores[recommender.added.trie] = "catalog"
    captured = captured_searches(
        recommender.model, scores, beam_size=6, candidates=recommender.config.candidates, batch_size=3
    )
    recommender.__dict__["_captured"] = captured
    return recommender, list(captured.values())


@pytest.mark.parametrize("kind", ["plain", "added", "shared"])
@pytest.mark.parametrize("without", [[], ["i07", "i33"]])
@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_lists_are_the_same_whatever_is_asked_for(make_recommender, kind, without, rank):
    options = {"beam_size": 6, "candidates": 9, "rank": rank}
    plain = make_recommender(kind, **options).without(without)
    fixed, searches = replaying(make_recommender(kind, **options).without(without))
    for found, expected in zip(fixed.answer(REQUESTS), plain.answer(REQUESTS), strict=True):
        assert [entry.item_id for entry in found] == [entry.item_id for entry in expected]
        assert [entry.score for entry in found] == pytest.approx([entry.score for entry in expected], abs=1e-5)
        assert found.certified == expected.certified
    assert len(searches) == 2 * (1 + (kind == "added"))
    assert sum(bool(search._recordings) for search in searches) == len(searches) / 2  # the other ranking's wait


def test_wider_lists_and_larger_batches_are_searched_plainly(make_recommender):
    fixed, (search,) = replaying(make_recommender(beam_size=6, candidates=6))
    assert len(fixed.recommend([["i01"]], k=9)[0]) == 9
    assert fixed.find([np.array([row]) for row in range(4)], beam_size=6).rows.shape == (4, 6)
    assert not search._recordings
    fixed.recommend([["i01"]], k=6)
    assert len(search._recordings) == 1


def test_nothing_is_captured_without_a_gpu(make_recommender):
    assert make_recommender()._captured == {}
