"""Items taken out of the catalogue: a new recommender, and an old one that stays as it is."""

import math

import numpy as np
import pytest

from genrec.errors import UnknownItemError


def ids(found):
    return [entry.item_id for entry in found]


@pytest.mark.parametrize("rank", ["codes", "blend"])
def test_items_that_were_taken_out_are_never_recommended(make_recommender, rank):
    old = make_recommender("added", beam_size=44)
    new = old.without(["i05", "new1", "i06"])
    before, after = (ids(each.recommend([["i01"]], k=44, rank=rank)[0]) for each in (old, new))
    assert set(before) - set(after) == {"i05", "new1", "i06"} and len(before) == 43


def test_every_list_names_the_version_that_made_it(make_recommender):
    old = make_recommender()
    newer = old.without(["i05"]).without(["i06"])
    assert (old.version, newer.version) == (0, 2)
    assert newer.recommend([["i01"]])[0].version == 2 and old.recommend([["i01"]])[0].version == 0
    assert old.trie.stock is None and not {"i05", "i06"} & set(ids(newer.recommend([["i01"]], k=40)[0]))


def test_an_item_that_was_taken_out_is_still_read_in_histories(make_recommender):
    old = make_recommender(score="joint")
    new = old.without(["i05"])
    assert new.recommend([["i05"]])[0].ignored == ()
    assert ids(new.recommend([["i05"]], k=40)[0]) == ids(old.recommend([["i05"]], k=40)[0])
    assert len(new.catalogue) == 40 and new.without(["i05"]).recommend([["i05"]])[0].version == 2


@pytest.mark.parametrize("gone", [[], ["i05", "i17"], ["new0"], ["new0", "new1", "new2", "new3"], ["i30", "new2"]])
def test_the_probabilities_of_what_is_left_sum_to_one(make_recommender, gone):
    recommender = make_recommender("added", score="catalog", beam_size=44).without(gone)
    scores = recommender.score_items([["i01"], ["new0", "i04"]], recommender.catalogue.item_ids.tolist())
    assert [math.fsum(map(math.exp, row)) for row in scores.tolist()] == pytest.approx([1, 1], abs=1e-5)
    found = recommender.find([np.array([1])], beam_size=44)
    by_item_head = found.item_log_probs[0][found.rows[0] >= 0].tolist()
    assert math.fsum(map(math.exp, by_item_head)) == pytest.approx(1, abs=1e-5)


def test_only_added_items_can_be_left(make_recommender):
    recommender = make_recommender("added")
    left = recommender.without([item for item in recommender.catalogue.item_ids.tolist() if item[0] == "i"])
    found = left.recommend([["i01"]], k=10, exact=True)[0]
    assert sorted(ids(found)) == ["new0", "new1", "new2", "new3"] and found.exact
    assert sum(math.exp(entry.score) for entry in found) == pytest.approx(1, abs=1e-5)


def test_at_least_one_item_stays(make_recommender):
    for kind in ("plain", "added"):
        recommender = make_recommender(kind)
        with pytest.raises(ValueError, match="nothing is left"):
            recommender.without(recommender.catalogue.item_ids.tolist())


def test_unknown_items_cannot_be_taken_out(make_recommender):
    with pytest.raises(UnknownItemError, match="1 of 2 items are not in the catalogue: 'gone'"):
        make_recommender().without(["i01", "gone"])


def test_an_item_left_alone_on_its_id_keeps_all_of_its_probability(make_recommender):
    recommender = make_recommender("shared")
    shared = [f"i{row:02d}" for row in (1, *range(0, 40, 3))]
    before = float(recommender.score_items([["i08"]], ["i03"])[0, 0])
    after = float(recommender.without([item for item in shared if item != "i03"]).score_items([["i08"]], ["i03"])[0, 0])
    assert after == pytest.approx(before + math.log(len(shared)), abs=1e-5)
