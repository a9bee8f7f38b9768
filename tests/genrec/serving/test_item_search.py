"""Against a plain loop over the items."""

import numpy as np
import pytest

from genrec.data.catalogue import Catalogue
from genrec.serving import item_search
from genrec.serving.item_search import ItemSearch

TITLES = [
    "Oak desk, walnut legs",
    "Desk lamp",
    "ÉTAGÈRE in oak",
    "",
    "日本の机",
    "Standing desk  of\tGLASS",
    "line\nbreak desk",
    "Straße",
    "oak desk organiser",
]
CATALOGUE = Catalogue(np.array([f"I{row}" for row in range(8)] + ["desk-9"]), {"title": TITLES})


def plain_find(query):
    """Rows in order of what is expected, by looking at every item."""
    words = " ".join(query.casefold().split())
    lines = [
        [" ".join(text.casefold().split()) for text in (CATALOGUE.title(row), str(CATALOGUE.item_ids[row]))]
        for row in range(len(CATALOGUE))
    ]
    first = [row for row, each in enumerate(lines) if any(line.startswith(words) for line in each)]
    held = [row for row, each in enumerate(lines) if all(word in "\n".join(each) for word in words.split())]
    return first + [row for row in held if row not in first]


@pytest.mark.parametrize(
    "query",
    ["desk", "DESK", "oak desk", "desk oak", "i3", "étag", "机", "glass desk", "strasse", "k d", "x", " ", "o", "-9"],
)
@pytest.mark.parametrize("stretch", [7, 1 << 22])
def test_the_same_items_as_a_loop_finds_and_prefixes_first(query, stretch, monkeypatch):
    monkeypatch.setattr(item_search, "STRETCH", stretch)
    search = ItemSearch(CATALOGUE)
    expected = plain_find(query)
    assert search.find(query, limit=20) == (expected, False)
    for offset in range(len(expected) + 2):
        assert search.find(query, limit=2, offset=offset) == (expected[offset : offset + 2], offset + 2 < len(expected))


def test_desk_finds_the_lamp_and_the_id_that_begin_with_it_before_the_others():
    assert ItemSearch(CATALOGUE).find("desk", limit=20).rows == [1, 8, 0, 5, 6]


def test_no_hit_reaches_over_the_end_of_a_line():
    assert ItemSearch(CATALOGUE).find("legs i0", limit=20).rows == [0]  # both words, in the title and in the id
    assert ItemSearch(CATALOGUE).find("legs\ni0desk", limit=20).rows == []


def test_where_too_many_had_to_be_looked_at_there_may_be_more(monkeypatch):
    monkeypatch.setattr(item_search, "MAX_LOOKED_AT", 2)
    # 0 and 8 begin with the query; of the items with "oak", which are 0, 2 and 8, two are looked at
    assert ItemSearch(CATALOGUE).find("oak desk", limit=20) == ([0, 8], True)


@pytest.mark.parametrize("first", [1, 5, 8])
def test_a_catalogue_that_has_more_items_is_searched_like_one_that_is_new(first, monkeypatch):
    read = []
    lines = item_search._lines
    monkeypatch.setattr(item_search, "_lines", lambda catalogue, row: read.append(row) or lines(catalogue, row))
    earlier = ItemSearch(CATALOGUE.take(np.arange(first)))
    read.clear()
    grown, new = ItemSearch(CATALOGUE, earlier), ItemSearch(CATALOGUE)
    assert read[: len(CATALOGUE) - first] == list(range(first, len(CATALOGUE)))
    assert (grown.text, grown.starts) == (new.text, new.starts)


def test_another_catalogue_takes_nothing_over():
    other = Catalogue(CATALOGUE.item_ids[:3], {"title": ["Oak desk, walnut legs", "Desk lamp", "another"]})
    for earlier in (other, CATALOGUE.take(np.arange(8)[::-1])):
        assert ItemSearch(CATALOGUE, ItemSearch(earlier)).text == ItemSearch(CATALOGUE).text
