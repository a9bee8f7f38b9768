"""Files with one user a line."""

import json

import duckdb
import pytest

from genrec.data.preparation import prepare
from genrec.data.sources import DataConfig
from genrec.errors import DataError


def read(folder, lines, **options):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "sequences.jsonl").write_text(text, encoding="utf-8")
    config = DataConfig(format="sequences", interactions="sequences.jsonl", **options)
    return prepare(config, data_dir=folder, seed=0)


def sequences(prepared):
    table = prepared.interactions
    return {user_id: table.item_ids[table.of(user)].tolist() for user, user_id in enumerate(table.user_ids.tolist())}


def test_the_order_of_the_line_is_the_order(tmp_path):
    prepared = read(tmp_path, [{"user_id": "v", "item_ids": ["b", "a", "b"]}, {"user_id": "u", "item_ids": [7]}])
    assert sequences(prepared) == {"u": ["7"], "v": ["b", "a", "b"]}
    assert prepared.interactions.times is None


def test_times_sort_a_line_and_equal_times_keep_its_order(tmp_path):
    line = {"user_id": "u", "item_ids": ["a", "b", "c", "d"], "timestamps": [9, 3, 9, 3]}
    prepared = read(tmp_path, [line])
    assert sequences(prepared) == {"u": ["b", "d", "a", "c"]}
    assert prepared.interactions.times.tolist() == [3, 3, 9, 9]


def test_parquet_lists_are_read_alike(tmp_path):
    path = tmp_path / "sequences.parquet"
    duckdb.execute(f"COPY (SELECT 'u' AS user_id, ['b', 'a'] AS item_ids, [2, 1] AS timestamps) TO '{path}'")
    config = DataConfig(format="sequences", interactions="sequences.parquet")
    assert sequences(prepare(config, data_dir=tmp_path, seed=0)) == {"u": ["a", "b"]}


def test_a_user_without_times_keeps_the_order_and_then_nobody_has_times(tmp_path, caplog):
    lines = [
        {"user_id": "u", "item_ids": ["a", "b"], "timestamps": [2, 1]},
        {"user_id": "v", "item_ids": ["b", "a"], "timestamps": None},
    ]
    prepared = read(tmp_path, lines)
    assert sequences(prepared) == {"u": ["b", "a"], "v": ["b", "a"]}
    assert prepared.interactions.times is None
    assert prepared.report["users_without_times"] == 1
    assert "1 users have no times" in caplog.text


def test_a_user_without_times_is_a_bad_row_if_the_config_names_the_time_column(tmp_path):
    lines = [{"user_id": "u", "item_ids": ["a"], "timestamps": [2]}, {"user_id": "v", "item_ids": ["b"]}]
    with pytest.raises(DataError, match="line 2: column 'timestamps' is missing or not a list"):
        read(tmp_path, lines, columns={"time": "timestamps"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"user_id": "v", "item_ids": ["a", "b"], "timestamps": [1]}, "must have one time an item: 1 times, 2 items"),
        ({"user_id": "v", "item_ids": ["a", "b"], "timestamps": [1, None]}, "column 'timestamps' has an empty time"),
        ({"user_id": "v", "item_ids": ["a"], "timestamps": ["noon"]}, "column 'timestamps': 'noon' is neither"),
        ({"user_id": "v", "item_ids": "a"}, "column 'item_ids' is missing or not a list"),
        ({"user_id": "v", "item_ids": ["a", None], "timestamps": [1, 2]}, "column 'item_ids' is empty or missing"),
        ({"item_ids": ["a"], "timestamps": [1]}, "column 'user_id' is empty or missing"),
        ('{"user_id": "v", "item_ids": ["a"', "not JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_reported(tmp_path, line, message):
    good = {"user_id": "u", "item_ids": ["a"], "timestamps": [1]}
    with pytest.raises(DataError, match=f"1 of .*\n.*sequences.jsonl, line 2: .*{message}"):
        read(tmp_path, [good, line])


def test_an_unknown_item_in_a_sequence_is_reported_with_its_line_and_user(tmp_path):
    (tmp_path / "items.csv").write_text("item_id\na\n")
    lines = [{"user_id": "u", "item_ids": ["a"]}, {"user_id": "v", "item_ids": ["a", "lamp"]}]
    expected = (
        r"sequences\.jsonl, line 2, column 'item_ids': the item 'lamp' of user 'v' is not in the items file "
        r"\(1 such items.*data\.unknown_items: drop"
    )
    with pytest.raises(DataError, match=expected):
        read(tmp_path, lines, items="items.csv")
    prepared = read(tmp_path, lines, items="items.csv", unknown_items="drop")
    assert sequences(prepared) == {"u": ["a"], "v": ["a"]}
    assert prepared.report["dropped"]["unknown_items"] == 1


def test_a_csv_is_no_sequence_file(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,item_ids\n")
    with pytest.raises(DataError, match=r"choose data\.format: table"):
        prepare(DataConfig(format="sequences", interactions="a.csv"), data_dir=tmp_path, seed=0)
