import hashlib

import numpy as np
import pytest

from genrec.data.catalogue import Catalogue, row_order


def test_the_row_of_an_item_is_its_position():
    catalogue = Catalogue(np.array(["b", "a"]), {})
    assert catalogue.row_of == {"b": 0, "a": 1}
    assert len(catalogue) == 2


def test_an_item_without_a_title_is_called_by_its_id():
    catalogue = Catalogue(np.array(["b", "a"]), {"title": ["Blue cup", ""]})
    assert [catalogue.title(row) for row in (0, 1)] == ["Blue cup", "a"]
    assert Catalogue(np.array(["b"]), {}).title(0) == "b"


def test_a_field_needs_one_text_an_item():
    with pytest.raises(ValueError, match="'title' must have 2 texts"):
        Catalogue(np.array(["b", "a"]), {"title": ["Blue cup"]})


def test_rows_are_ordered_by_a_hash_whatever_the_order_of_arrival():
    item_ids = [f"item {n}" for n in range(50)]
    by_hash = sorted(item_ids, key=lambda item_id: hashlib.blake2b(item_id.encode(), digest_size=8).hexdigest())
    assert row_order(item_ids) == row_order(reversed(item_ids)) == by_hash
    assert by_hash != item_ids


def test_added_items_come_last_with_the_fields_of_the_others():
    catalogue = Catalogue(np.array(["b", "a"]), {"title": ["Blue cup", "Ash tray"], "brand": ["X", "Y"]})
    both = catalogue.with_items(Catalogue(np.array(["c"]), {"title": ["Clay pot"], "colour": ["red"]}))
    assert both.item_ids.tolist() == ["b", "a", "c"]
    assert both.fields == {"title": ["Blue cup", "Ash tray", "Clay pot"], "brand": ["X", "Y", ""]}
