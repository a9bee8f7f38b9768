"""Conditions on fields against a plain filter, alone and inside requests."""

import json
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrec.data.catalogue import Catalogue
from genrec.data.categories import texts_in
from genrec.recommendation import answers, where
from genrec.recommendation.recommender import Request
from genrec.recommendation.where import Attributes, number_of, where_of

TEXTS = ("", "red", "Red", "red > dark", "blue; red", "7", "7.0", "7.5", " 8 ", "-1e1", "nan", "inf", "1_0", "true")
VALUES = st.sampled_from(["red", "blue", "7", "", 7, 7.5, 8, -10, True, "red > dark", "missing"])
BOUNDS = st.dictionaries(st.sampled_from(["min", "max"]), st.sampled_from([-10, 7, 7.5, 8]), min_size=1)
CONDITIONS = (
    VALUES
    | st.lists(VALUES, min_size=1, max_size=3)
    | BOUNDS.filter(lambda bounds: bounds.get("min", -99) <= bounds.get("max", 99))
    | st.fixed_dictionaries({"not": VALUES | st.lists(VALUES, min_size=1, max_size=3)})
)


def ids(found):
    return [entry.item_id for entry in found]


def plainly(text, condition):
    """The plain twin: does an item with this text pass?"""
    numbers = {"7": 7, "7.0": 7, "7.5": 7.5, " 8 ": 8, "-1e1": -10}
    parts = {"red > dark": {"red > dark", "red", "dark"}, "blue; red": {"blue; red", "blue", "red"}}
    if isinstance(condition, dict) and "not" in condition:
        wanted = condition["not"] if isinstance(condition["not"], list) else [condition["not"]]
        compares = any(isinstance(value, int | float) and not isinstance(value, bool) for value in wanted)
        return not plainly(text, wanted) and (text in numbers or not compares)
    if isinstance(condition, dict):
        return text in numbers and condition.get("min", -99) <= numbers[text] <= condition.get("max", 99)
    if isinstance(condition, list):
        return any(plainly(text, value) for value in condition)
    if isinstance(condition, bool):
        return text == "true"
    if isinstance(condition, str):
        return condition in parts.get(text, {text, text.strip()})
    return numbers.get(text) == condition


def attributes_of(**fields):
    return Attributes(Catalogue(np.array([f"i{row}" for row in range(len(next(iter(fields.values()))))]), fields))


@settings(max_examples=300, deadline=None)
@given(first=CONDITIONS, second=CONDITIONS, texts=st.lists(st.sampled_from(TEXTS), min_size=2, max_size=8))
def test_items_pass_as_in_a_plain_filter(first, second, texts):
    fields = {"colour": texts, "other": texts[::-1]}
    attributes = attributes_of(**fields)
    conditions = attributes.conditions({"other": second, "colour": first})
    expected = [plainly(one, first) and plainly(two, second) for one, two in zip(texts, texts[::-1], strict=True)]
    assert attributes.mask(conditions).tolist() == expected
    if any(expected):
        assert attributes.passing(conditions).tolist() == expected
    else:
        with pytest.raises(ValueError, match="no item of the catalogue passes where"):
            attributes.passing(conditions)


def test_a_list_of_categories_has_its_parts():
    parts = {"Beauty > Hair Care; Gifts", "Beauty > Hair Care", "Beauty", "Hair Care", "Gifts"}
    assert texts_in("Beauty > Hair Care; Gifts") == parts
    assert texts_in("A > B > C") == {"A > B > C", "A > B", "A", "B", "C"}
    assert texts_in("") == {""}


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7.0), (" 7.50 ", 7.5), ("", None), ("$7", None), ("nan", None), ("inf", None), ("1_0", None), ("1e3", 1e3)],
)
def test_only_finite_numbers_are_numbers(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize("kind", ["plain", "added"])
def test_only_items_that_pass_are_recommended(make_recommender, kind):
    recommender = make_recommender(kind)
    found = recommender.recommend([["i01"]], k=44, where={"brand": "Birk", "price": {"min": 3, "max": 7.5}})[0]
    # price is (row - 2) / 2 and the brand Birk where row % 3 == 1; added items have no price
    assert sorted(ids(found)) == ["i10", "i13", "i16"]
    gifts = recommender.recommend([["i01"]], k=44, where={"categories": "Gifts"})[0]
    assert sorted(ids(gifts)) == [f"i{row:02d}" for row in range(0, 40, 5)]
    unbranded = recommender.recommend([["i01"]], k=44, where={"brand": {"not": ["Alder", "Birk"]}})[0]
    assert sorted(ids(unbranded)) == sorted(
        [f"i{row:02d}" for row in range(2, 40, 3)] + (["new1", "new3"] if kind == "added" else [])
    )


def test_conditions_hold_beside_the_other_filters(make_recommender):
    recommender = make_recommender()
    allow = [f"i{row:02d}" for row in range(12)]
    found = recommender.recommend([["i01"]], k=44, where={"brand": "Birk"}, allow=allow, deny=["i04"])[0]
    assert sorted(ids(found)) == ["i07", "i10"]
    assert ids(recommender.recommend([["i01"]], where={"brand": "Birk"}, allow=["i02"])[0]) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), listed_rows=st.sampled_from([0, 20, 10**6]), exact=st.booleans())
def test_requests_with_different_conditions_are_answered_together(make_recommender, data, listed_rows, exact):
    recommender = make_recommender("added", batch_size=4)
    choices = [None, {}, {"brand": "Birk"}, {"price": {"max": 4}}, {"brand": ["Alder", "Cedar"]}]
    allows = [None, [f"i{row:02d}" for row in range(20)]]
    requests = [
        Request(
            [f"i{place:02d}"], 44, True, data.draw(st.sampled_from(allows)), None, data.draw(st.sampled_from(choices))
        )
        for place in range(7)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "LISTED_ROWS", listed_rows)
        together = recommender.answer(requests, exact=exact)
    for place, (request, found) in enumerate(zip(requests, together, strict=True)):
        fields = recommender.catalogue.fields
        expected = [
            item
            for row, item in enumerate(recommender.catalogue.item_ids.tolist())
            if all(plainly_here(fields[column][row], each) for column, each in (request.where or {}).items())
            and (request.allow is None or item in request.allow)
            and row != place
        ]
        assert sorted(ids(found)) == sorted(expected)
        alone = recommender.answer([request], exact=exact)[0]
        assert [entry.score for entry in found] == pytest.approx([entry.score for entry in alone], abs=1e-5)


def plainly_here(text, condition):
    if isinstance(condition, dict):
        return text not in ("", "soon") and float(text) <= condition["max"]
    return text in condition if isinstance(condition, list) else text == condition


def test_an_unknown_column_is_refused_with_a_suggestion(make_recommender):
    with pytest.raises(
        ValueError, match=r"'brnad'.*did you mean 'brand'\? known here: title, brand, price, categories"
    ):
        make_recommender().recommend([["i01"]], where={"brnad": "Birk"})


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"brand": []}, "empty list"),
        ({"brand": None}, "expected a value"),
        ({"brand": {}}, "expected a value"),
        ({"brand": {"min": 1, "not": 2}}, "expected a value"),
        ({"price": {"min": "3"}}, "expected a number"),
        ({"price": {"min": True}}, "expected a number"),
        ({"price": {"min": 5, "max": 4}}, "exchange min and max"),
        ({"price": float("nan")}, "expected a value"),
        ({"brand": "Brik"}, "did you mean 'Birk'"),
        ({"title": {"max": 3}}, "0 are numbers"),
        ({"brand": "Birk", "price": {"max": 0.5}, "categories": "Bath"}, "each condition alone is passed by some"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(make_recommender, condition, message):
    with pytest.raises(ValueError, match=message):
        make_recommender().recommend([["i01"]], where=condition)


def test_conditions_whose_items_were_all_taken_out_leave_nothing(make_recommender):
    recommender = make_recommender("added").without(["new3"])
    assert ids(recommender.recommend([["i01"]], where={"brand": "Cedar"})[0]) == []


def test_texts_are_never_part_of_a_query(make_recommender):
    with pytest.raises(ValueError, match="no item of the catalogue passes"):
        make_recommender().recommend([["i01"]], where={"brand": "x' OR '1'='1"})


def test_equal_conditions_share_a_mask_and_few_masks_are_kept():
    attributes = attributes_of(colour=["red", "blue"])
    one, other = (attributes.conditions({"colour": values}) for values in (["red", "blue"], ("blue", "red")))
    assert attributes.passing(one) is attributes.passing(other)
    assert not attributes.passing(one).flags.writeable
    for number in range(2 * where.MASKS_KEPT):
        attributes.mask(attributes.conditions({"colour": f"colour {number}"}))
    assert attributes.mask.cache_info().currsize == where.MASKS_KEPT
    assert attributes.mask(attributes.conditions({"colour": 1})) is not attributes.mask(
        attributes.conditions({"colour": True})
    )


def test_many_threads_ask_at_once(make_recommender):
    recommender, found = make_recommender(), {}

    def ask(number):
        condition = {"price": {"max": 4 + number % 4}}
        found[number] = ids(recommender.recommend([["i01"]], k=40, where=condition)[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: len(items) for number, items in found.items()} == {
        # 2 * (4 + number % 4) + 1 rows have such a price, from row 2 on
        number: 9 + 2 * (number % 4)
        for number in range(12)
    }


def test_a_request_is_plain_data():
    request = Request(["a"], where={"price": {"max": 2}})
    assert Request(**json.loads(json.dumps(request._asdict()))) == request


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["brand=Canon"], {"brand": ["Canon"]}),
        (["brand=Canon", "brand = Epson & Co"], {"brand": ["Canon", "Epson & Co"]}),
        (["brand!=Canon"], {"brand": {"not": ["Canon"]}}),
        (["price<=20", "price>=5", "price<=10"], {"price": {"min": 5.0, "max": 10.0}}),
        (["text=a<=b"], {"text": ["a<=b"]}),
        (["brand="], {"brand": [""]}),
    ],
)
def test_conditions_can_be_typed(written, expected):
    assert where_of(written) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["brand"], "write column=value"),
        (["=Canon"], "write column=value"),
        (["price<=cheap"], "expected numbers after price<=, got 'cheap'"),
        (["price=5", "price<=6"], "do not go together"),
    ],
)
def test_what_cannot_be_read_is_refused(written, message):
    with pytest.raises(ValueError, match=message):
        where_of(written)
