"""Scores and explanations of items that are given."""

import json
import math

import numpy as np
import pytest
import torch

from genrec.errors import UnknownItemError

HISTORIES = [["i03", "i09"], ["i12"], ["i20", "i21", "i22", "i23"], ["i07"]]


@pytest.mark.parametrize("score", ["joint", "catalog"])
@pytest.mark.parametrize("kind", ["plain", "added", "shared"])
def test_given_items_score_what_recommend_reports_of_them(make_recommender, kind, score):
    recommender = make_recommender(kind, score=score).without(["i05", "i33"])
    item_ids = recommender.catalogue.item_ids.tolist()
    scores = recommender.score_items(HISTORIES, item_ids)
    assert scores.shape == (4, len(item_ids)) and scores.dtype == np.float32
    lists = recommender.recommend(HISTORIES, k=len(item_ids), exclude_history=False)
    for row, found in zip(scores, lists, strict=True):
        reported = {entry.item_id: entry.score for entry in found}
        assert len(reported) == len(item_ids) - 2
        expected = [reported.get(item, -math.inf) for item in item_ids]
        assert row.tolist() == pytest.approx(expected, abs=1e-5)


def test_items_come_in_the_order_they_are_asked_in_and_as_often(make_recommender):
    recommender = make_recommender("added")
    one, other = recommender.score_items([["i03"]], ["i04", "new1"])[0]
    again = recommender.score_items([["i03"]], ["new1", "i04", "new1"])[0]
    assert again.tolist() == pytest.approx([other, one, other], abs=1e-6)
    assert recommender.score_items([["i03"]], []).shape == (1, 0)
    assert recommender.score_items([], ["i04"]).shape == (0, 1)


def test_given_items_are_scored_as_in_training(make_recommender, score_every_item):
    recommender = make_recommender(score="joint")
    expected = score_every_item(recommender.generator, torch.tensor([[3, 9]]))
    scores = recommender.score_items([["i03", "i09"]], recommender.catalogue.item_ids.tolist())
    assert scores[0].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_unknown_items_are_named(make_recommender):
    recommender = make_recommender()
    with pytest.raises(UnknownItemError, match="2 of 3 items are not in the catalogue: 'gone', 'lost'"):
        recommender.score_items([["i01"]], ["gone", "i02", "lost"])
    with pytest.raises(UnknownItemError, match="and others"):
        recommender.score_items([["i01"]], [f"x{number}" for number in range(9)])
    with pytest.raises(UnknownItemError, match="history 2"):
        recommender.score_items([["i01"], []], ["i02"])


@pytest.mark.parametrize("score", ["joint", "catalog"])
@pytest.mark.parametrize(
    ("kind", "item"), [("plain", "i17"), ("shared", "i03"), ("added", "i17"), ("added", "new0"), ("added", "new3")]
)
def test_an_explanation_adds_up_to_the_score(make_recommender, kind, item, score):
    recommender = make_recommender(kind, score=score)
    explained = recommender.explain(["i08", "i02"], item)
    total = sum(choice.log_prob for choice in explained.codes) + explained.share_log_prob
    total -= math.log(explained.num_sharers)
    assert explained.score == pytest.approx(total, abs=1e-5)
    assert explained.score == pytest.approx(float(recommender.score_items([["i08", "i02"]], [item])[0, 0]), abs=1e-6)
    sharers = {"i03": 15, "new0": 2}  # the rows 0, 3, 6, ..., 39 and 1; the codes 6 4 2
    assert explained.num_sharers == sharers.get(item, 1)
    assert explained.is_added == item.startswith("new")
    assert (explained.share_log_prob < 0) == (kind == "added")


def test_each_code_is_ranked_among_those_that_may_follow(make_recommender, codes):
    recommender = make_recommender()
    explained = recommender.explain(["i08"], "i17", num_alternatives=2)
    model, chosen = recommender.model, codes[17].tolist()
    with torch.inference_mode():
        read = model.read_history(torch.tensor([[8]]))
        first = model.next_code_logits(read, None)[0][0, 0].log_softmax(0)
    children = sorted(set(codes[:, 0].tolist()), key=lambda code: -first[code])
    top = explained.codes[0]
    assert top.code == chosen[0] and top.log_prob == pytest.approx(first[chosen[0]].item(), abs=1e-5)
    assert top.rank == children.index(chosen[0]) + 1 and top.num_children == len(children)
    others = [code for code in children if code != chosen[0]][:2]
    assert [other.code for other in top.alternatives] == others
    below = {tuple(row[:2]) for row in codes.tolist() if row[0] == chosen[0]}
    assert explained.codes[1].num_children == len(below)


def test_codes_have_the_names_of_their_prefixes(make_recommender, codes):
    assert codes[3].tolist() == [0, 1, 2]
    explained = make_recommender().explain(["i08"], "i03")
    assert [choice.name for choice in explained.codes] == ["first", "first second", None]


def test_the_item_heads_probability_stands_beside_that_of_the_codes(make_recommender):
    recommender = make_recommender("added")
    item_ids = recommender.catalogue.item_ids.tolist()
    by_item_head = [recommender.explain(["i08"], item).item_log_prob for item in item_ids]
    assert sum(map(math.exp, by_item_head)) == pytest.approx(1, abs=1e-5)


def test_an_explanation_says_whether_the_item_is_recommended(make_recommender):
    recommender = make_recommender()
    listed = [entry.item_id for entry in recommender.recommend([["i08"]], k=4)[0]]
    assert recommender.explain(["i08"], listed[2], k=4).place == 3
    assert recommender.explain(["i08"], listed[2], k=2).place is None
    assert recommender.explain(["i08"], "i08", k=40).place is None  # it is in the history


def test_an_explanation_is_read_as_json_and_as_text(make_recommender):
    explained = make_recommender("added").explain(["i08"], "new0", k=7)
    assert json.loads(json.dumps(explained.as_dict()))["codes"][1]["code"] == 4
    assert explained.as_dict()["codes"][0]["alternatives"][0].keys() == {"code", "name", "log_prob"}
    lines = explained.table().splitlines()
    assert lines[0] == "new0  New 0"
    assert [line.split()[0] for line in lines[2:5]] == ["6", "4", "2"]
    assert any("shared with 1 more" in line for line in lines) and any("added items" in line for line in lines)
    assert "the 7 that are recommended" in lines[-1]


def test_an_item_that_was_taken_out_has_nothing_to_explain(make_recommender):
    with pytest.raises(ValueError, match="taken out"):
        make_recommender().without(["i17"]).explain(["i08"], "i17")
    with pytest.raises(UnknownItemError, match="'gone'"):
        make_recommender().explain(["i08"], "gone")
