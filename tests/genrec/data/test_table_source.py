"""CSV, TSV, JSON lines and Parquet with one interaction a row."""

import gzip
import json

import duckdb
import pytest

from genrec.data.preparation import prepare
from genrec.data.sources import DataConfig
from genrec.errors import DataError

ROWS = [("u1", "a", 30), ("u2", "b", 20), ("u1", "b", 10), ("u2", "a", 20), ("u1", "c", 30)]
SEQUENCES = {"u1": ["b", "a", "c"], "u2": ["b", "a"]}  # by time; equal times in the order of the file


def as_csv(rows, header="user_id,item_id,timestamp"):
    return "".join(f"{line}\n" for line in [header, *(",".join(map(str, row)) for row in rows)])


def as_json_lines(rows):
    return "".join(
        json.dumps({"user_id": user, "item_id": item, "timestamp": time}) + "\n" for user, item, time in rows
    )


def read(folder, name, **options):
    config = DataConfig(format="table", interactions=name, **options)
    return prepare(config, data_dir=folder, seed=0)


def sequences(prepared):
    table = prepared.interactions
    return {user_id: table.item_ids[table.of(user)].tolist() for user, user_id in enumerate(table.user_ids.tolist())}


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.json"])
def test_every_text_format_gives_the_same_sequences(tmp_path, name):
    text = as_json_lines(ROWS) if ".json" in name else as_csv(ROWS)
    write(tmp_path, name, text.replace(",", "\t") if ".tsv" in name else text)
    prepared = read(tmp_path, name)
    assert sequences(prepared) == SEQUENCES
    assert prepared.interactions.times.tolist() == [10, 30, 30, 20, 20]
    assert prepared.report["kept"] == {"users": 2, "items": 3, "interactions": 5}


def test_parquet_gives_the_same_sequences_and_reads_timestamps(tmp_path):
    values = ", ".join(f"('{user}', '{item}', make_timestamp({time} * 1000000))" for user, item, time in ROWS)
    duckdb.execute(
        f"COPY (SELECT * FROM (VALUES {values}) AS t(user_id, item_id, timestamp)) TO '{tmp_path / 'a.parquet'}'"
    )
    prepared = read(tmp_path, "a.parquet")
    assert sequences(prepared) == SEQUENCES
    assert prepared.interactions.times.tolist() == [10, 30, 30, 20, 20]


def test_the_parts_of_a_folder_follow_each_other_by_name(tmp_path):
    write(tmp_path, "log/part-2.csv", as_csv(ROWS[2:]))
    write(tmp_path, "log/part-1.csv.gz", as_csv(ROWS[:2]))
    write(tmp_path, "log/_SUCCESS", "")
    assert sequences(read(tmp_path, "log", columns={"time": ""})) == {"u1": ["a", "b", "c"], "u2": ["b", "a"]}


def test_a_star_or_bracket_in_a_path_stands_for_itself(tmp_path):
    write(tmp_path, "log[1]/a*.csv", as_csv(ROWS))
    write(tmp_path, "log[1]/ab.csv", as_csv([("other", "a", 1)]))
    assert sequences(read(tmp_path, "log[1]/a*.csv")) == SEQUENCES


def test_without_a_time_column_the_order_of_the_file_is_the_order(tmp_path):
    write(tmp_path, "a.csv", as_csv([row[:2] for row in ROWS], header="user_id,item_id"))
    prepared = read(tmp_path, "a.csv")
    assert sequences(prepared) == {"u1": ["a", "b", "c"], "u2": ["b", "a"]}
    assert prepared.interactions.times is None
    assert prepared.report["order"] == "file"


def test_columns_and_delimiter_can_be_named(tmp_path):
    write(tmp_path, "a.csv", as_csv(ROWS, header="sku,who,when").replace(",", ";"))
    config = {"columns": {"user": "sku", "item": "who", "time": "when"}, "delimiter": ";"}
    assert sequences(read(tmp_path, "a.csv", **config)) == SEQUENCES


@pytest.mark.parametrize(
    ("written", "unix_s"),
    [
        ("1404172800", 1404172800),
        ("1404172800.9", 1404172800),
        ("1.4041728e9", 1404172800),
        ("2014-07-01", 1404172800),
        ("2014-07-01T00:00:05Z", 1404172805),
        ("2014-07-01 02:00:00+02:00", 1404172800),
        ("-5", -5),
    ],
)
def test_a_time_is_unix_seconds_or_iso_in_utc(tmp_path, written, unix_s):
    write(tmp_path, "a.csv", as_csv([("u", "a", written)]))
    assert read(tmp_path, "a.csv").interactions.times.tolist() == [unix_s]


def test_times_in_milliseconds_are_asked_for_and_then_read(tmp_path):
    write(tmp_path, "a.csv", as_csv([("u", "a", 1404172800123)]))
    with pytest.raises(DataError, match=r"column 'timestamp': '1404172800123' .*time_unit: milliseconds"):
        read(tmp_path, "a.csv")
    assert read(tmp_path, "a.csv", time_unit="milliseconds").interactions.times.tolist() == [1404172800]


def test_quoted_ids_may_hold_delimiters_and_line_ends(tmp_path):
    write(tmp_path, "a.csv", 'user_id,item_id\nu,"a,\n""b"""\n')
    assert sequences(read(tmp_path, "a.csv")) == {"u": ['a,\n"b"']}


def test_ids_keep_their_leading_zeros_and_their_order_is_that_of_texts(tmp_path):
    write(tmp_path, "a.csv", as_csv([("007", "010", 1), ("10", "1e3", 1), ("9", "010", 1)]))
    prepared = read(tmp_path, "a.csv")
    assert prepared.interactions.user_ids.tolist() == ["007", "10", "9"]
    assert set(prepared.catalogue.item_ids.tolist()) == {"010", "1e3"}


def test_low_ratings_are_dropped_and_counted(tmp_path):
    write(tmp_path, "a.csv", "user_id,item_id,rating\nu,a,5\nu,b,2.5\nu,c,3\n")
    prepared = read(tmp_path, "a.csv", min_rating=3.0)
    assert sequences(prepared) == {"u": ["a", "c"]}
    assert prepared.report["dropped"]["low_rating"] == 1


def test_a_missing_column_is_named_with_the_columns_there_are(tmp_path):
    write(tmp_path, "a.csv", as_csv(ROWS, header="user_id,item,timestamp"))
    expected = (
        r"a\.csv, line 1: the column 'item_id' is missing; the file has user_id, item, timestamp.*data\.columns\.item"
    )
    with pytest.raises(DataError, match=expected):
        read(tmp_path, "a.csv")


def test_a_time_column_that_the_config_names_must_be_there(tmp_path):
    write(tmp_path, "a.csv", as_csv(ROWS))
    with pytest.raises(DataError, match=r"the column 'time' is missing.*did you mean 'timestamp'"):
        read(tmp_path, "a.csv", columns={"time": "time"})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.parquet"])
def test_an_empty_file_is_refused(tmp_path, name):
    write(tmp_path, name, "")
    with pytest.raises(DataError, match=r"a\.(csv|jsonl|parquet).* is (empty|not a readable Parquet)"):
        read(tmp_path, name)


def test_a_file_with_a_header_only_is_refused(tmp_path):
    write(tmp_path, "a.csv", as_csv([]))
    with pytest.raises(DataError, match=r"a\.csv has no interactions"):
        read(tmp_path, "a.csv")


def test_a_file_that_is_not_there_is_an_error_that_mentions_the_data_folder(tmp_path):
    with pytest.raises(DataError, match=r"no file or folder .*nothing\.csv.*GENREC_DATA"):
        read(tmp_path, "nothing.csv")


def test_an_unknown_extension_is_an_error_that_lists_the_known_ones(tmp_path):
    write(tmp_path, "a.xlsx", "x")
    with pytest.raises(DataError, match=r"a\.xlsx: cannot tell the format.*\.parquet"):
        read(tmp_path, "a.xlsx")


def test_half_a_gzip_file_is_refused(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_json_lines(ROWS * 99).encode())[:-20])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz .*(gzip|read)"):
        read(tmp_path, "a.jsonl.gz")


def test_parts_with_and_without_times_do_not_mix(tmp_path):
    write(tmp_path, "log/1.csv", as_csv(ROWS))
    write(tmp_path, "log/2.csv", as_csv([("u", "a")], header="user_id,item_id"))
    with pytest.raises(DataError, match=r"2\.csv has no time column"):
        read(tmp_path, "log")


def test_a_column_name_that_stands_there_twice_is_refused(tmp_path):
    write(tmp_path, "a.csv", as_csv(ROWS, header="user_id,item_id,item_id"))
    with pytest.raises(DataError, match="'item_id' stands there twice"):
        read(tmp_path, "a.csv")
