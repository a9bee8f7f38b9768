import json

import duckdb
import pytest

from genrec.data.preparation import prepare
from genrec.data.sources import DataConfig, read_items_file
from genrec.data.sources.items import as_text
from genrec.errors import DataError


def read(folder, text, *, name="items.csv", interactions="user_id,item_id\nu,a\nu,b\n", **options):
    (folder / "log.csv").write_text(interactions, encoding="utf-8")
    if text is not None:
        (folder / name).write_text(text, encoding="utf-8")
    config = DataConfig(format="table", interactions="log.csv", items=name, **options)
    return prepare(config, data_dir=folder, seed=0)


def fields(prepared):
    columns, rows = prepared.catalogue.fields, prepared.catalogue.row_of
    return {item_id: {name: texts[row] for name, texts in columns.items()} for item_id, row in rows.items()}


def test_every_other_column_becomes_a_field(tmp_path):
    prepared = read(tmp_path, 'item_id,title,price\na,"Cup, blue",5.00\nb,Lamp,\n')
    assert fields(prepared) == {"a": {"title": "Cup, blue", "price": "5.00"}, "b": {"title": "Lamp", "price": ""}}


def test_json_lists_are_joined_and_numbers_stay_as_written(tmp_path):
    lines = ['{"item_id": "a", "price": 5.00, "categories": ["Home", "Cups"]}', '{"item_id": "b", "title": "Lamp"}']
    prepared = read(tmp_path, "\n".join(lines), name="items.jsonl")
    assert fields(prepared) == {
        "a": {"price": "5.00", "categories": "Home > Cups", "title": ""},
        "b": {"price": "", "categories": "", "title": "Lamp"},
    }


def test_parquet_items_are_read_alike(tmp_path):
    query = "SELECT unnest(['a', 'b']) AS item_id, ['Home', 'Cups'] AS categories, 5.5 AS price, NULL AS brand"
    duckdb.execute(f"COPY ({query}) TO '{tmp_path / 'items.parquet'}'")
    prepared = read(tmp_path, None, name="items.parquet")
    assert fields(prepared)["a"] == {"categories": "Home > Cups", "price": "5.5", "brand": ""}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (["a", None, "b"], "a > b"),
        ([["a", "b"], ["c"]], "a > b; c"),
        ({"size": "XL", "colour": None, "sold": 3}, "size: XL; sold: 3"),
        (float("nan"), ""),
    ],
)
def test_any_value_reads_as_one_text(value, text):
    assert as_text(value) == text


def test_the_title_may_have_another_name(tmp_path):
    prepared = read(tmp_path, "item_id,name\na,Cup\nb,Lamp\n", title="name")
    assert fields(prepared)["b"] == {"title": "Lamp"}
    with pytest.raises(DataError, match=r"no column 'label' \(data\.title\); they have name"):
        read(tmp_path, "item_id,name\na,Cup\nb,Lamp\n", title="label")


def test_the_id_column_is_the_interactions_one_unless_it_is_named(tmp_path):
    log = "user_id,sku\nu,a\n"
    columns = {"item": "sku"}
    assert len(read(tmp_path, "sku\na\n", interactions=log, columns=columns).catalogue) == 1
    assert len(read(tmp_path, "asin\na\n", interactions=log, columns=columns, items_id="asin").catalogue) == 1


def test_an_item_that_comes_twice_is_reported_with_both_lines(tmp_path):
    with pytest.raises(DataError, match=r"'a' comes twice: .*items\.csv, line 2 and .*items\.csv, line 4"):
        read(tmp_path, "item_id,title\na,Cup\nb,Lamp\na,Cup\n")


def test_a_missing_id_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"items\.csv, line 1: the column 'item_id' is missing.*data\.items_id"):
        read(tmp_path, "id,title\na,Cup\n")


@pytest.mark.parametrize("text", ["", "item_id,title\n"])
def test_an_empty_items_file_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"items\.csv is empty"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("row", "reason"),
    [("c", "expected 2 columns, found 1"), (",Cup", "column 'item_id' is empty")],
)
def test_a_bad_item_row_is_refused_or_counted(tmp_path, row, reason):
    text = f"item_id,title\na,Cup\n{row}\nb,Lamp\n"
    with pytest.raises(DataError, match=f"1 of 3 rows(.|\n)*items.csv, line 3: {reason}"):
        read(tmp_path, text)
    assert read(tmp_path, text, max_bad_share=0.4).report["dropped"]["bad_item_rows"] == 1


def test_columns_that_differ_in_case_only_are_refused(tmp_path):
    with pytest.raises(DataError, match="too many columns called 'title'"):
        read(tmp_path, "item_id,title,Title\na,x,y\n")


def test_an_item_without_interactions_stays_unless_the_config_drops_it(tmp_path):
    text = "item_id\na\nb\ncold\n"
    kept = read(tmp_path, text)
    assert (len(kept.catalogue), kept.report["cold_items"]) == (3, 1)
    assert len(read(tmp_path, text, cold_items="drop").catalogue) == 2
    assert len(read(tmp_path, text, k_core=1).catalogue) == 2


def test_an_item_that_is_not_in_the_file_is_reported_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"log\.csv, line 3, column 'item_id': the item 'b' of user 'u' is not in"):
        read(tmp_path, "item_id\na\n")


def test_a_line_that_is_not_json_is_reported_with_its_number(tmp_path):
    text = json.dumps({"item_id": "a"}) + "\n\n{oops\n" + json.dumps({"item_id": "b"}) + "\n"
    with pytest.raises(DataError, match=r"items\.jsonl, line 3: not JSON"):
        read(tmp_path, text, name="items.jsonl")


@pytest.mark.parametrize("form", ["world", "sequences"])
def test_items_alone_are_read_in_the_form_of_any_format(tmp_path, form):
    (tmp_path / "late.csv").write_text("item_id,title\nx,Lamp\n")
    interactions = None if form == "world" else "sequences.jsonl"
    items = read_items_file(tmp_path / "late.csv", DataConfig(format=form, interactions=interactions))
    assert (items.item_ids, items.fields) == (["x"], {"title": ["Lamp"]})
