import numpy as np

from genrec.data.catalogue import Catalogue
from genrec.recommendation.where import Attributes
from genrec.serving import field_values as field_values_module
from genrec.serving.field_values import MAX_VALUES, field_values

CATALOGUE = Catalogue(
    np.array(["a", "b", "c", "d"]),
    {
        "price": ["3.5", "", "10", "3.5"],
        "categories": ["Home > Bath", "Home > Bed; Gifts", "Home > Bath", ""],
        "mixed": ["3", "three", "", ""],
        "empty": ["", "", "", ""],
    },
)


def column(name):
    return next(each for each in field_values(CATALOGUE) if each["name"] == name)


def test_a_column_of_numbers_has_bounds():
    price = column("price")
    assert (price["kind"], price["min"], price["max"], price["missing"], price["num_values"]) == (
        "number",
        3.5,
        10,
        1,
        2,
    )
    assert price["values"] == [{"value": "3.5", "items": 2}, {"value": "10", "items": 1}]


def test_one_text_among_numbers_makes_a_column_of_texts():
    assert (column("mixed")["kind"], column("mixed")["min"]) == ("text", None)
    assert (column("empty")["kind"], column("empty")["values"], column("empty")["missing"]) == ("text", [], 4)


def test_every_value_that_is_told_passes_as_many_items_as_it_says():
    attributes = Attributes(CATALOGUE)
    told = {each["value"]: each["items"] for each in column("categories")["values"]}
    assert told["Home"] == 3 and told["Gifts"] == 1 and told["Bath"] == 2
    for value, items in told.items():
        assert attributes.passing(attributes.conditions({"categories": value})).sum() == items


def test_of_many_texts_the_frequent_ones_are_told_and_long_ones_left_out():
    texts = [f"text {number}" for number in range(200)] + ["often"] * 3 + ["x" * 201] * 5
    found = field_values(Catalogue(np.array([str(row) for row in range(len(texts))]), {"text": texts}))[0]
    assert found["values"] == [{"value": "often", "items": 3}] and found["num_values"] == 202
    few = field_values(Catalogue(np.array(["a", "b"]), {"text": ["one", "two"]}))[0]
    assert len(few["values"]) == 2 <= MAX_VALUES


def test_lists_are_not_taken_apart_where_there_are_too_many_texts(monkeypatch):
    monkeypatch.setattr(field_values_module, "MAX_TAKEN_APART", 1)
    assert {each["value"] for each in column("categories")["values"]} == {"Home > Bath", "Home > Bed; Gifts"}
