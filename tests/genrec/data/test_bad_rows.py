"""Rows that cannot be read: reported with line, column and reason; refused above a share."""

import pytest

from genrec.data.preparation import prepare
from genrec.data.sources import DataConfig
from genrec.errors import DataError

GOOD = "".join(f"u{n},a,{n}\n" for n in range(18))


def read(folder, text, *, name="a.csv", **options):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare(DataConfig(format="table", interactions=name, **options), data_dir=folder, seed=0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            "u,a,yesterday\n",
            r"a\.csv, line 20: column 'timestamp': 'yesterday' is neither unix seconds nor an ISO",
        ),
        ("u,a,\n", r"a\.csv, line 20: column 'timestamp': nothing is neither"),
        ("u,a,nan\n", r"a\.csv, line 20: column 'timestamp': 'nan' is neither"),
        (",a,1\n", r"a\.csv, line 20: column 'user_id' is empty"),
        ("u,,1\n", r"a\.csv, line 20: column 'item_id' is empty"),
        ("u,a\n", r"a\.csv, line 20, column 'timestamp': Expected Number of Columns: 3 Found: 2"),
        ("u,a,1,2\n", r"a\.csv, line 20: Expected Number of Columns: 3 Found: 4"),
        ("\n\nu,a,x\n", r"a\.csv, line 22: column 'timestamp'"),
        ('"u\nv",a,1\nu,a,x\n', r"a\.csv, line 22: column 'timestamp'"),
        ("u,a\nu,a,x\n", r"a\.csv, line 21: column 'timestamp'"),
    ],
)
def test_a_bad_row_is_reported_with_line_column_and_reason(tmp_path, bad, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, "user_id,item_id,timestamp\n" + GOOD + bad + "u,a,99\n")


def test_bytes_that_are_not_utf8_are_a_bad_row(tmp_path):
    text = b"user_id,item_id,timestamp\n" + GOOD.encode() + b"u,\xff\xfe,1\nu,a,x\n"
    with pytest.raises(
        DataError, match=r"line 20, column 'item_id': Invalid unicode(.|\n)*line 21: column 'timestamp'"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"user_id": "u", "item_id": ', r"a\.jsonl, line 3: not JSON \(Expecting value: line 1 column 29"),
        ('["u", "a"]', r"a\.jsonl, line 3: a JSON value, but not an object"),
        ('{"user_id": "u"}', r"a\.jsonl, line 3: column 'item_id' is empty or missing"),
    ],
)
def test_a_bad_json_line_is_reported_with_its_reason(tmp_path, line, message):
    good = '{"user_id": "u", "item_id": "a"}'
    with pytest.raises(DataError, match=message):
        read(tmp_path, f"{good}\n\n{line}\n{good}\n", name="a.jsonl")


def test_the_message_counts_the_bad_rows_and_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"2 of 20 rows cannot be read(.|\n)*data\.max_bad_share \(now 0\.05\)"):
        read(tmp_path, "user_id,item_id,timestamp\n" + GOOD + "u,a\nu,a,x\n", max_bad_share=0.05)


def test_bad_rows_within_the_share_are_dropped_counted_and_told(tmp_path, caplog):
    prepared = read(tmp_path, "user_id,item_id,timestamp\n" + GOOD + "u,a\nu,a,x\n", max_bad_share=0.1)
    assert prepared.report["dropped"]["bad_rows"] == 2
    assert prepared.report["read"]["interactions"] == 20
    assert prepared.interactions.num_interactions == 18
    assert len(prepared.report["bad_rows"]) == 2
    assert "2 of 20 rows cannot be read" in caplog.text


def test_an_unreadable_rating_is_a_bad_row_only_if_ratings_count(tmp_path):
    text = "user_id,item_id,rating\nu,a,good\n"
    assert read(tmp_path, text).interactions.num_interactions == 1
    with pytest.raises(DataError, match="line 2: column 'rating': 'good' is not a number"):
        read(tmp_path, text, min_rating=3.0)
