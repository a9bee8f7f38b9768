import duckdb
import numpy as np
import pytest

from genrec.data.vector_files import open_vectors, read_vectors, write_vectors
from genrec.errors import ArtifactError, DataError

IDS = np.array(["a", "b", "c"])
VECTORS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def written_npz(path, *, item_ids=IDS, vectors=VECTORS):
    np.savez(path, item_ids=np.asarray(item_ids), vectors=np.asarray(vectors))
    return path


def written_npy(path, vectors):
    np.save(path, np.asarray(vectors))
    return path


def written_parquet(path, rows):
    with duckdb.connect() as database:
        database.execute("CREATE TABLE vectors (item_id VARCHAR, vector FLOAT[])")
        database.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
        database.execute(f"COPY vectors TO '{path}' (FORMAT parquet)")
    return path


def test_npy_rows_are_the_items_rows(tmp_path):
    vectors = read_vectors(written_npy(tmp_path / "v.npy", VECTORS), IDS)
    np.testing.assert_array_equal(vectors, VECTORS)
    assert vectors.dtype == np.float32


def test_npz_and_parquet_come_in_any_order_and_may_hold_more_items(tmp_path):
    order = [2, 0, 1]
    npz = written_npz(tmp_path / "v.npz", item_ids=["x", *IDS[order]], vectors=[[9.0, 9.0], *VECTORS[order]])
    rows = [["x", [9.0, 9.0]], *([IDS[row], VECTORS[row].tolist()] for row in order)]
    parquet = written_parquet(tmp_path / "v.parquet", rows)
    np.testing.assert_array_equal(read_vectors(npz, IDS), VECTORS)
    np.testing.assert_array_equal(read_vectors(parquet, IDS), VECTORS)


def test_another_number_of_rows_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(DataError, match=r"v\.npy has 2 rows, but there are 3 items.*items\.parquet"):
        read_vectors(written_npy(tmp_path / "v.npy", VECTORS[:2]), IDS)


def test_an_item_without_a_vector_is_named(tmp_path):
    npz = written_npz(tmp_path / "v.npz", item_ids=["a", "c"], vectors=VECTORS[:2])
    with pytest.raises(DataError, match=r"no vector for 1 items \(first: b\); add them"):
        read_vectors(npz, IDS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_row_and_item(tmp_path, value):
    vectors = VECTORS.copy()
    vectors[1, 0] = value
    with pytest.raises(DataError, match=r"1 vectors .* not finite \(first: row 1, item b\); embed"):
        read_vectors(written_npy(tmp_path / "v.npy", vectors), IDS)


def test_a_null_in_parquet_counts_as_not_finite(tmp_path):
    rows = [["a", [1.0, 2.0]], ["b", [None, 4.0]], ["c", [5.0, 6.0]]]
    with pytest.raises(DataError, match="row 1, item b"):
        read_vectors(written_parquet(tmp_path / "v.parquet", rows), IDS)


def test_parquet_vectors_of_different_widths_are_refused(tmp_path):
    rows = [["a", [1.0, 2.0]], ["b", [3.0]], ["c", [5.0, 6.0]]]
    with pytest.raises(DataError, match=r"one width, but they have \[1, 2\]"):
        read_vectors(written_parquet(tmp_path / "v.parquet", rows), IDS)


def test_ids_and_vectors_of_different_number_are_refused(tmp_path):
    with pytest.raises(DataError, match="has 2 item ids, but 3 vectors"):
        read_vectors(written_npz(tmp_path / "v.npz", item_ids=["a", "b"]), IDS)


@pytest.mark.parametrize("name", ["absent.npy", "text.npy", "text.npz", "text.parquet", "text.csv"])
def test_a_file_that_is_no_table_of_vectors_is_refused_with_the_expected_forms(tmp_path, name):
    if not name.startswith("absent"):
        (tmp_path / name).write_text("no vectors here")
    with pytest.raises(DataError, match=rf"(?s){name} .*expected \.npy .*\.npz .*\.parquet"):
        read_vectors(tmp_path / name, IDS)


def test_an_array_of_objects_is_refused_and_never_unpickled(tmp_path):
    np.save(tmp_path / "v.npy", np.array([{"a": 1}, None, "c"], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as vectors"):
        read_vectors(tmp_path / "v.npy", IDS)


def test_a_table_that_is_not_two_dimensional_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"float64 \(3,\); expected floats of shape \(items, embedding_dim\)"):
        read_vectors(written_npy(tmp_path / "v.npy", VECTORS[:, 0]), IDS)


def test_two_vectors_for_one_item_are_refused(tmp_path):
    path = tmp_path / "twice.npz"
    np.savez(path, item_ids=np.array(["a", "b", "a"]), vectors=np.ones((3, 2), dtype=np.float32))
    with pytest.raises(DataError, match="several vectors for item a"):
        read_vectors(path, np.array(["a", "b"]))


def test_an_npy_of_another_length_names_the_file_whose_order_it_should_have(tmp_path):
    path = written_npy(tmp_path / "v.npy", VECTORS[:2])
    with pytest.raises(DataError, match=r"2 rows, but there are 3 items; .* in the order of late.jsonl"):
        read_vectors(path, IDS, order="late.jsonl")


def test_vectors_in_parts_make_the_file_that_numpy_makes(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    assert write_vectors(tmp_path / "parts.npy", iter(np.split(vectors, [4, 4, 9])), count=10) == 3
    np.save(tmp_path / "whole.npy", vectors)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_another_number_of_vectors_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="expected 3 vectors, got 2"):
        write_vectors(tmp_path / "few.npy", iter([np.zeros((2, 3), dtype=np.float32)]), count=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00\x76\x00{'descr'", b"\x93NUMPY", b"text"])
def test_a_damaged_file_of_vectors_is_named(tmp_path, content):
    (tmp_path / "vectors.npy").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"vectors\.npy is not a whole file of vectors"):
        open_vectors(tmp_path / "vectors.npy")


def test_every_flip_in_the_head_of_vectors_is_an_error_in_words_or_harmless(tmp_path):
    path, vectors = tmp_path / "vectors.npy", np.ones((4, 3), dtype=np.float32)
    np.save(path, vectors)
    whole = path.read_bytes()
    for place in range(128):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert open_vectors(path).dtype == np.float32
        except ArtifactError as error:
            assert "vectors.npy" in str(error)
