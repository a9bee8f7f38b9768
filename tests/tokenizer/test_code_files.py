import json

import duckdb
import numpy as np
import pytest

from tokenizer import SemanticIDs


def write_json(path, table):
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return path


def test_json_codes_come_in_the_order_asked_for(tmp_path):
    path = write_json(tmp_path / "codes.json", {"a": [0, 3], "b": [1, 2], "c": [9, 9]})
    ids = SemanticIDs.read(path, item_ids=["b", "a"])
    assert ids.codes.tolist() == [[1, 2], [0, 3]]
    assert ids.level_sizes == (10, 10)  # of the whole file
    assert ids.item_ids is not None and ids.item_ids.tolist() == ["b", "a"]


def test_without_item_ids_the_file_says_which_items_there_are(tmp_path):
    ids = SemanticIDs.read(write_json(tmp_path / "codes.json", {"a": [0], "b": [1]}))
    assert ids.item_ids is not None and ids.item_ids.tolist() == ["a", "b"]


def test_npz_codes_are_the_json_ones(tmp_path):
    write_json(tmp_path / "codes.json", {"a": [0, 3], "b": [1, 2]})
    np.savez(tmp_path / "codes.npz", codes=np.array([[0, 3], [1, 2]], dtype=np.uint8), item_ids=np.array(["a", "b"]))
    tables = [SemanticIDs.read(tmp_path / name, item_ids=["a", "b"]) for name in ("codes.json", "codes.npz")]
    assert tables[0].fingerprint == tables[1].fingerprint


def write_parquet(path, rows):
    values = ", ".join(f"('{item_id}', {codes})" for item_id, codes in rows)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {values}) AS t(item_id, codes)) TO '{path}' (FORMAT parquet)")


def test_parquet_codes_are_the_json_ones_in_one_file_or_in_parts(tmp_path):
    write_json(tmp_path / "codes.json", {"a": [0, 3], "b": [1, 2], "c": [0, 3]})
    (tmp_path / "parts").mkdir()
    write_parquet(tmp_path / "codes.parquet", [("a", [0, 3]), ("b", [1, 2]), ("c", [0, 3])])
    write_parquet(tmp_path / "parts" / "0.parquet", [("c", [0, 3])])
    write_parquet(tmp_path / "parts" / "1.parquet", [("b", [1, 2]), ("a", [0, 3])])
    names = ("codes.json", "codes.parquet", "parts")
    tables = [SemanticIDs.read(tmp_path / name, item_ids=["a", "b", "c"]) for name in names]
    assert len({table.fingerprint for table in tables}) == 1


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("a", [0, 3]), ("b", [1])], "the same number of codes"),
        ([("a", [0, 3]), ("b", "NULL")], "the same number of codes"),
        ([("a", [0, 3]), ("a", [1, 1])], "'a' comes more than once"),
        ([("a", [0, -3])], "negative code -3"),
        ([("a", "'no list'")], "not Parquet with the columns"),
    ],
)
def test_parquet_that_is_no_table_of_codes_is_refused(tmp_path, rows, problem):
    write_parquet(tmp_path / "codes.parquet", rows)
    with pytest.raises(ValueError, match=problem) as raised:
        SemanticIDs.read(tmp_path / "codes.parquet")
    assert "codes.parquet" in str(raised.value)


def test_a_folder_without_parquet_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no \.parquet file"):
        SemanticIDs.read(tmp_path)


def test_npz_may_say_the_level_sizes(tmp_path):
    path = tmp_path / "codes.npz"
    np.savez(path, codes=np.array([[0, 3]]), item_ids=np.array(["a"]), level_sizes=np.array([8, 4]))
    assert SemanticIDs.read(path).level_sizes == (8, 4)


def test_ready_made_collisions_are_resolved_unless_kept(tmp_path):
    path = write_json(tmp_path / "codes.json", {"a": [0, 3], "b": [0, 3]})
    assert SemanticIDs.read(path).id_length == 3
    assert SemanticIDs.read(path, collisions="keep").id_length == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [0, 1]}, "1 of 2 items have no codes .first: 'b'."),
        ({"a": [0, 1], "b": [0]}, "'b' has 1 codes where the items before have 2"),
        ({"a": [0, 1], "b": [0, -3]}, "'b' has the negative code -3 at level 1"),
        ({"a": [0, 1], "b": [0, 1.5]}, r"'b': expected whole numbers .* found \[0, 1.5\]"),
        ({"a": [0, 1], "b": [0, True]}, "'b': expected whole numbers"),
        ({"a": [0, 1], "b": ["<a_0>", "<b_1>"]}, "'b': expected whole numbers"),
        ({"a": [0, 1], "b": []}, "'b': expected whole numbers"),
        ({"a": [0, 1], "b": [0, 2**31]}, "beyond"),
        ('{"a": [0], "b": [1], "a": [2]}', "'a' comes more than once"),
        ([[0, 1]], "expected a JSON object"),
        ({}, "expected a JSON object"),
        ('{"a": [0', "not valid JSON"),
    ],
)
def test_bad_json_is_refused_with_file_and_item(tmp_path, table, message):
    path = write_json(tmp_path / "codes.json", table)
    with pytest.raises(ValueError, match=message) as raised:
        SemanticIDs.read(path, item_ids=["a", "b"])
    assert "codes.json" in str(raised.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"codes": np.array([[0]])}, "item_ids"),
        ({"codes": np.array([0]), "item_ids": np.array(["a"])}, "expected whole codes"),
        ({"codes": np.array([[0.5]]), "item_ids": np.array(["a"])}, "expected whole codes"),
        ({"codes": np.array([[-1]]), "item_ids": np.array(["a"])}, "'a' has the negative code -1"),
        ({"codes": np.array([[0]]), "item_ids": np.array(["a", "b"])}, "expected 1 item_ids"),
        ({"codes": np.array([[0]]), "item_ids": np.array(["a"], dtype=object)}, "without pickle"),
        ({"codes": np.array([[7]]), "item_ids": np.array(["a"]), "level_sizes": np.array([4])}, r"0\.\.3 is expected"),
    ],
)
def test_bad_npz_is_refused_with_file(tmp_path, arrays, message):
    np.savez(tmp_path / "codes.npz", **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        SemanticIDs.read(tmp_path / "codes.npz")
    assert "codes.npz" in str(raised.value)


def test_a_missing_or_unknown_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"codes\.json is missing"):
        SemanticIDs.read(tmp_path / "codes.json")
    (tmp_path / "codes.csv").write_text("a,1")
    with pytest.raises(ValueError, match=r"codes\.csv: ready-made codes come as"):
        SemanticIDs.read(tmp_path / "codes.csv")
