import duckdb
import numpy as np
import pytest

from genrec.data.catalogue import Catalogue
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, read_catalogue, read_prepared, write_catalogue, write_prepared
from genrec.data.splits import leave_one_out
from genrec.errors import ArtifactError


def prepared(*, times=True):
    item_ids = np.array(["ß", "a", "cold"])
    interactions = Interactions(
        np.array(["ann", "bob"]),
        item_ids,
        np.array([0, 3, 4], dtype=np.int64),
        np.array([1, 0, 1, 0], dtype=np.int32),
        np.array([5, 5, 2**40, 7], dtype=np.int64) if times else None,
    )
    catalogue = Catalogue(item_ids, {"title": ["Größe", "", "x"], 'Über-column "q"': ["1", "2", "3"]})
    return Prepared(catalogue, interactions, leave_one_out(interactions), {"kept": {"users": 2}})


@pytest.mark.parametrize("times", [True, False])
def test_what_is_read_is_what_was_written(tmp_path, times):
    written = prepared(times=times)
    write_prepared(written, tmp_path / "run")
    read = read_prepared(tmp_path / "run")
    assert read.catalogue.fields == written.catalogue.fields
    assert read.report == written.report
    for name in ("user_ids", "item_ids", "offsets", "items", "times"):
        assert np.array_equal(getattr(read.interactions, name), getattr(written.interactions, name))
    assert np.array_equal(read.splits.train_end, written.splits.train_end)
    assert np.array_equal(read.splits.validation_end, written.splits.validation_end)


def test_the_sequences_file_has_one_user_a_row(tmp_path):
    write_prepared(prepared(), tmp_path)
    with duckdb.connect() as connection:  # duckdb's own is shared with all tests of the process
        rows = connection.sql(f"FROM '{tmp_path / 'sequences.parquet'}'").fetchall()
    assert rows == [("ann", [1, 0, 1], [5, 5, 2**40], 1, 1), ("bob", [0], [7], 1, 0)]


def test_twenty_thousand_users_come_back_in_order(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, size=20_000)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    item_ids = np.array([f"i{n}" for n in range(500)])
    user_ids = np.array(sorted(f"u{n}" for n in range(20_000)))
    items = rng.integers(0, 500, size=offsets[-1]).astype(np.int32)
    table = Interactions(user_ids, item_ids, offsets, items)
    write_prepared(Prepared(Catalogue(item_ids, {}), table, leave_one_out(table), {}), tmp_path)
    read = read_prepared(tmp_path).interactions
    assert np.array_equal(read.items, items)
    assert np.array_equal(read.offsets, offsets)
    assert np.array_equal(read.user_ids, user_ids)


def test_nothing_but_the_three_files_is_left(tmp_path):
    write_prepared(prepared(), tmp_path)
    write_prepared(prepared(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"items.parquet", "sequences.parquet", "prepare.json"}


def test_a_missing_file_is_an_artifact_error(tmp_path):
    write_prepared(prepared(), tmp_path)
    (tmp_path / "sequences.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"sequences\.parquet is missing.*genrec prepare"):
        read_prepared(tmp_path)


def test_a_damaged_file_is_an_artifact_error(tmp_path):
    write_prepared(prepared(), tmp_path)
    path = tmp_path / "items.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match=r"damaged(.|\n)*genrec prepare"):
        read_prepared(tmp_path)


def test_a_catalogue_alone_is_read_as_it_was_written(tmp_path):
    written = prepared().catalogue
    write_catalogue(written, tmp_path)
    read = read_catalogue(tmp_path)
    assert read.item_ids.tolist() == written.item_ids.tolist() and read.fields == written.fields
