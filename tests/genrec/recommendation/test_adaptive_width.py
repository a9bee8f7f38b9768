"""Beams that are narrow where the model is certain, against whole beams and the scores of all items."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrec.generator.search_model import SearchModel
from genrec.recommendation.recommender import RecommendationConfig, Request


def ids(found):
    return [entry.item_id for entry in found]


@pytest.fixture
def widths(monkeypatch):
    """How many beams the model was asked about, call by call."""
    asked, ask = [], SearchModel.next_code_logits

    def noting(self, read, written, *, codes=None, parents=None):
        asked.append(1 if codes is None else codes.shape[1])
        return ask(self, read, written, codes=codes, parents=parents)

    monkeypatch.setattr(SearchModel, "next_code_logits", noting)
    return asked


def test_a_certain_model_is_asked_about_fewer_beams_and_never_fewer_than_the_list_needs(make_recommender, widths):
    found = {}
    for mass in (1.0, 0.9, 0.01):
        widths.clear()
        found[mass] = make_recommender(beam_size=30, beam_mass=mass).recommend([["i03"]], 4)[0]
        found[mass, "asked"] = widths.copy()
    assert found[1.0, "asked"] == [1, 7, 28]  # 7 first codes, which have 28 second ones
    assert found[0.01, "asked"] == [1, 4, 4]
    assert 4 < found[0.9, "asked"][2] < 28
    assert len(found[0.01]) == 4 and found[0.9].certified <= found[1.0].certified


@pytest.mark.parametrize("kind", ["plain", "added", "shared"])
@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_the_whole_mass_gives_the_plain_lists(make_recommender, kind, rank):
    histories = [[f"i{row:02d}", f"i{row + 1:02d}"] for row in range(20)]
    plain, whole = make_recommender(kind, rank=rank), make_recommender(kind, rank=rank, beam_mass=1.0)
    assert whole.recommend(histories, 8) == plain.recommend(histories, 8)
    narrow = make_recommender(kind, rank=rank, beam_mass=0.5).recommend(histories, 8)
    assert narrow != plain.recommend(histories, 8)  # else the mass would do nothing here


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["plain", "added", "shared"]),
    score=st.sampled_from(["joint", "catalog"]),
    mass=st.sampled_from([0.05, 0.5, 0.9, 0.99]),
    k=st.integers(1, 12),
    beam_size=st.sampled_from([5, 20, 50]),
    seed=st.integers(0, 1000),
)
def test_what_a_narrowed_beam_proves_is_the_top_of_scoring_everything(
    make_recommender, kind, score, mass, k, beam_size, seed
):
    recommender, random = make_recommender(kind, score=score, beam_mass=mass), np.random.default_rng(seed)
    items = recommender.catalogue.item_ids.tolist()
    requests = [
        Request(random.choice(items, size=3).tolist(), k, deny=random.choice(items, size=6).tolist()) for _ in range(6)
    ]
    for request, found in zip(requests, recommender.answer(requests, beam_size=beam_size), strict=True):
        left = set(items) - {*request.history, *request.deny}
        scores = dict(zip(items, recommender.score_items([request.history], items)[0].tolist(), strict=True))
        best = sorted((scores[item] for item in left), reverse=True)
        assert len(found) == k and set(ids(found)) <= left
        head = found[: found.certified]
        assert [entry.score for entry in head] == pytest.approx(best[: len(head)], abs=1e-5)
        assert [scores[entry.item_id] for entry in head] == pytest.approx(best[: len(head)], abs=1e-5)


def test_exact_and_capped_lists_come_from_whole_beams(make_recommender, widths):
    # 20 beams are too few to score everything instead
    for options in ({"exact": True, "beam_size": 20}, {"max_per_prefix": 3}):
        asked = []
        for mass in (1.0, 0.01):
            widths.clear()
            found = make_recommender(beam_size=30, beam_mass=mass).recommend([["i03"]], 4, **options)[0]
            asked.append((widths.copy(), found))
        assert asked[0] == asked[1] and asked[0][0][:2] == [1, 7]


@pytest.mark.parametrize("wrong", [0.0, 1.1, -0.5])
def test_a_mass_that_is_no_share_is_refused(wrong):
    with pytest.raises(ValueError, match="beam_mass must lie above 0 and up to 1"):
        RecommendationConfig(beam_mass=wrong)
