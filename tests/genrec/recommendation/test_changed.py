"""Catalogues that grow and get back what was taken out: new recommenders, and old ones that stay as they are."""

import threading

import numpy as np
import pytest
import torch

from genrec.data.catalogue import Catalogue
from genrec.errors import UnknownItemError

LATER = np.array([[6, 4, 2], [0, 0, 1], [6, 4, 2], [3, 1, 0]])
"""The codes that the kind "added" has."""
FIELDS = {"title": [f"New {row}" for row in range(4)], "brand": ["Birk", "", "Birk", "Cedar"]}


def ids(found):
    return [entry.item_id for entry in found]


def part(first, last):
    fields = {name: texts[first:last] for name, texts in FIELDS.items()}
    return Catalogue(np.array([f"new{row}" for row in range(first, last)]), fields), LATER[first:last]


def everything(recommender, rank, history=("i01", "i09")):
    return recommender.recommend([history], k=44, beam_size=44, rank=rank, exclude_history=False)[0]


def assert_same(one, other):
    assert ids(one) == ids(other)
    np.testing.assert_allclose([entry.score for entry in one], [entry.score for entry in other], atol=1e-5)


@pytest.mark.parametrize("rank", ["codes", "blend"])
@pytest.mark.parametrize("cuts", [(4,), (1, 4), (1, 2, 3, 4)])
def test_items_inserted_in_turn_are_ranked_like_items_there_from_the_start(make_recommender, rank, cuts):
    grown, first = make_recommender(), 0
    everything(grown, rank)
    for last in cuts:
        grown, first = grown.with_items(*part(first, last)), last
        everything(grown, rank)  # what is kept for speed is there before the next ones come
    assert grown.version == len(cuts)
    for history in (["i01", "i09"], ["new0", "i03"], ["new3"]):
        assert_same(everything(grown, rank, history), everything(make_recommender("added"), rank, history))
    np.testing.assert_allclose(
        grown.score_items([["new1"]], ["new0", "new3", "i05"]),
        make_recommender("added").score_items([["new1"]], ["new0", "new3", "i05"]),
        atol=1e-5,
    )


def test_a_recommender_stays_as_it_is_when_another_grows_from_it(make_recommender):
    old = make_recommender()
    before = everything(old, "blend")
    codes = old.generator.vocabulary.added_codes
    new = old.with_items(*part(0, 4))
    assert_same(everything(old, "blend"), before)
    assert old.added is None and len(old.catalogue) == 40 and old.generator.vocabulary.added_codes is codes
    assert old.recommend([["i01", "new0"]])[0].ignored == ("new0",)
    assert new.recommend([["i01", "new0"]])[0].ignored == ()


def test_nothing_of_the_weights_is_copied(make_recommender):
    old = make_recommender()
    new = old.with_items(*part(0, 2))
    own, others = (dict(each.generator.named_parameters()) for each in (old, new))
    assert own.keys() == others.keys() and all(own[name] is others[name] for name in own)
    assert new.trie is old.trie and new.model.layers is old.model.layers
    saved = [each.generator.state_dict() for each in (old, new)]
    assert saved[0].keys() == saved[1].keys()
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])


def test_items_that_were_taken_out_come_back(make_recommender):
    old = make_recommender("added")
    gone = old.without(["i05", "new1", "i06"])
    back = gone.having(["i05", "new1"])
    assert (gone.version, back.version) == (1, 2)
    assert set(ids(everything(old, "codes"))) - set(ids(everything(back, "codes"))) == {"i06"}
    all_back = back.having(["i06"])
    assert all_back.trie.stock is None and all_back.added.trie.stock is None
    assert_same(everything(all_back, "blend"), everything(old, "blend"))
    assert back.having(["i05"]).version == 3
    with pytest.raises(UnknownItemError, match="'nobody'"):
        back.having(["nobody"])


def test_stocked_says_which_rows_are_recommended(make_recommender):
    recommender = make_recommender("added").without(["i05", "new1"])
    assert np.flatnonzero(~recommender.stocked).tolist() == [5, 41]
    assert recommender.having(["i05"]).stocked.sum() == 43
    with pytest.raises(ValueError, match="read-only"):
        recommender.stocked[0] = False


def test_stock_stays_as_it_was_when_items_come(make_recommender):
    recommender = make_recommender().with_items(*part(0, 2)).without(["i05", "new0"]).with_items(*part(2, 4))
    assert np.flatnonzero(~recommender.stocked).tolist() == [5, 40]
    assert set(ids(everything(recommender, "codes"))) == {f"i{row:02d}" for row in range(40) if row != 5} | {
        "new1",
        "new2",
        "new3",
    }


@pytest.mark.parametrize(
    ("item_ids", "new_codes", "message"),
    [
        (["i05"], [[1, 1, 1]], "1 items are in the catalogue already .first: 'i05'"),
        (["a", "a"], [[1, 1, 1], [1, 1, 2]], "more than once"),
        (["a"], [[1, 1, 1], [1, 1, 2]], "the codes of 1 items, one row each"),
        (["a"], [[7, 0, 0]], "below the level sizes"),
        (["a"], [[1, 1]], "3 levels, got 2"),
    ],
)
def test_items_that_do_not_fit_are_refused(make_recommender, item_ids, new_codes, message):
    with pytest.raises(ValueError, match=message):
        make_recommender().with_items(Catalogue(np.array(item_ids), {}), np.array(new_codes))


def test_versions_answer_side_by_side_from_several_threads(make_recommender):
    start = make_recommender()
    versions = [start]
    for row in range(4):
        versions.append(versions[-1].with_items(*part(row, row + 1)).without([f"i{row:02d}"]))
    expected = [ids(everything(each, "blend", ["i20"])) for each in versions]
    wrong = []

    def ask(turn):
        for place in np.random.default_rng(turn).integers(0, 5, 20).tolist():
            if ids(everything(versions[place], "blend", ["i20"])) != expected[place]:
                wrong.append(place)

    threads = [threading.Thread(target=ask, args=[turn]) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
