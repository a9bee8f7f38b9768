import numpy as np
import pytest

from genrec.data.catalogue import Catalogue
from genrec.data.categories import item_categories


def catalogue_of(texts, name="categories"):
    return Catalogue(np.array([f"i{row:04d}" for row in range(len(texts))]), {name: texts})


def test_the_most_specific_level_of_five_to_two_hundred_categories_is_taken():
    # 1 category, then 10, then 300
    texts = [f"Beauty > Kind {row % 10} > Item {row}" for row in range(300)]
    assert item_categories(catalogue_of(texts)) == [f"Beauty > Kind {row % 10}" for row in range(300)]


def test_the_deepest_level_may_do():
    texts = [f"Beauty > Kind {row % 7}" for row in range(300)]
    assert len(set(item_categories(catalogue_of(texts)))) == 7


def test_equal_names_below_different_parents_stay_apart_and_short_paths_keep_their_end():
    texts = ["A > Other", "B > Other", "C > Other", "D > Other", "E", ""]
    assert item_categories(catalogue_of(texts)) == texts


def test_the_first_of_several_paths_counts():
    texts = [f"A > {letter}; B > x" for letter in "abcde"]
    assert item_categories(catalogue_of(texts)) == [f"A > {letter}" for letter in "abcde"]


def test_the_field_may_be_called_category():
    assert len(item_categories(catalogue_of(list("abcde"), name="category"))) == 5


@pytest.mark.parametrize("texts", [["A"] * 300, [f"item {row}" for row in range(300)], [""] * 9])
def test_levels_that_say_too_little_or_too_much_are_none(texts):
    assert item_categories(catalogue_of(texts)) is None


def test_items_without_such_a_field_have_none():
    assert item_categories(catalogue_of(list("abcde"), name="brand")) is None
