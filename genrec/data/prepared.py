"""Prepared data, and its files: items.parquet, sequences.parquet (one user a row), prepare.json (the report)."""

from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from duckdb import DuckDBPyConnection
from numpy import ndarray

from genrec.atomic_files import atomic_json, atomic_write, read_json
from genrec.data.catalogue import Catalogue, text_array
from genrec.data.interactions import Interactions
from genrec.data.sources.rows import open_database, quoted_name, quoted_path, quoted_text
from genrec.data.splits import Splits
from genrec.errors import ArtifactError

ITEMS_FILE = "items.parquet"
SEQUENCES_FILE = "sequences.parquet"
REPORT_FILE = "prepare.json"
_ROWS_PER_GROUP = 10_240
_INTERACTIONS_PER_INSERT = 2_000_000


class Prepared(NamedTuple):
    """The tables that the other stages read; `report` counts what was read, dropped (and why) and kept."""

    catalogue: Catalogue
    interactions: Interactions
    splits: Splits
    report: dict


def write_prepared(prepared: Prepared, folder: Path) -> None:
    """Write the three files into the folder; each appears whole or not at all, the report last."""
    with open_database() as database:
        _write_items(database, prepared.catalogue, folder / ITEMS_FILE)
        _write_sequences(database, prepared.interactions, prepared.splits, folder / SEQUENCES_FILE)
    atomic_json(folder / REPORT_FILE, prepared.report)


def write_catalogue(catalogue: Catalogue, folder: Path) -> None:
    """Write the items alone, as `read_catalogue` reads them."""
    with open_database() as database:
        _write_items(database, catalogue, folder / ITEMS_FILE)


def _write_items(database: DuckDBPyConnection, catalogue: Catalogue, path: Path) -> None:
    columns = {"row": np.arange(len(catalogue)), "column 0": catalogue.item_ids}
    columns |= {
        f"column {n}": np.array(texts, dtype=object) for n, texts in enumerate(catalogue.fields.values(), start=1)
    }
    database.register("items", columns)
    names = ["item_id", *catalogue.fields]
    selected = ", ".join(f'"column {n}" AS {quoted_name(name)}' for n, name in enumerate(names))
    _copy(database, f"SELECT {selected} FROM items ORDER BY row", path)


def _write_sequences(database: DuckDBPyConnection, interactions: Interactions, splits: Splits, path: Path) -> None:
    database.execute(
        "CREATE TABLE sequences "
        "(user_id VARCHAR, item_rows INTEGER[], times BIGINT[], num_train INTEGER, num_validation INTEGER)"
    )
    first = 0
    while first < interactions.num_users:
        enough = interactions.offsets[first] + _INTERACTIONS_PER_INSERT
        last = max(int(np.searchsorted(interactions.offsets, enough, side="right")) - 1, first + 1)
        _insert_sequences(database, interactions, splits, slice(first, last))
        first = last
    _copy(database, "SELECT * FROM sequences", path)


def _insert_sequences(database: DuckDBPyConnection, interactions: Interactions, splits: Splits, chosen: slice) -> None:
    """The sequences of some users; those of all at once would be in memory several times."""
    begins, ends = interactions.offsets[:-1][chosen], interactions.offsets[1:][chosen]
    users = {
        "user": np.arange(len(begins)),
        "user_id": interactions.user_ids[chosen],
        "num_train": (splits.train_end[chosen] - begins).astype(np.int32),
        "num_validation": (splits.validation_end[chosen] - splits.train_end[chosen]).astype(np.int32),
    }
    theirs = slice(int(begins[0]), int(ends[-1]))
    steps = {
        "user": np.repeat(users["user"], ends - begins),
        "position": np.arange(theirs.start, theirs.stop),
        "item": interactions.items[theirs],
    }
    steps |= {} if interactions.times is None else {"time": interactions.times[theirs]}
    database.register("users", users)
    database.register("steps", steps)
    times = "NULL::BIGINT[]" if interactions.times is None else "list(time ORDER BY position)"
    lists = f"SELECT user, list(item ORDER BY position) AS item_rows, {times} AS times FROM steps GROUP BY user"
    columns = "user_id, item_rows, times, num_train, num_validation"
    database.execute(f"INSERT INTO sequences SELECT {columns} FROM users JOIN ({lists}) USING (user) ORDER BY user")


def _copy(database: DuckDBPyConnection, query: str, path: Path) -> None:
    def write(temporary: Path) -> None:
        options = f"FORMAT parquet, ROW_GROUP_SIZE {_ROWS_PER_GROUP}"
        database.execute(f"COPY ({query}) TO {quoted_text(str(temporary))} ({options})")

    atomic_write(path, write)


def read_prepared(folder: Path) -> Prepared:
    """What `write_prepared` wrote. Raises: ArtifactError for a file that is missing or damaged."""
    for name in (ITEMS_FILE, SEQUENCES_FILE):
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name} is missing; make it with `genrec prepare`")
    try:
        with open_database() as database:
            catalogue = _read_items(database, folder / ITEMS_FILE)
            interactions, splits = _read_sequences(database, folder / SEQUENCES_FILE, catalogue)
        report = read_json(folder / REPORT_FILE) if (folder / REPORT_FILE).exists() else {}
    except (duckdb.Error, ValueError) as error:
        raise ArtifactError(
            f"the prepared data in {folder} is damaged: {error}. Make it anew with `genrec prepare`"
        ) from error
    return Prepared(catalogue, interactions, splits, report)


def read_catalogue(folder: Path) -> Catalogue:
    """The items alone of what `write_prepared` wrote. Raises: ArtifactError for a file that is missing or damaged."""
    path = folder / ITEMS_FILE
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; make it with `genrec prepare`")
    try:
        with open_database() as database:
            return _read_items(database, path)
    except (duckdb.Error, ValueError) as error:
        raise ArtifactError(f"{path} is damaged: {error}. Make it anew with `genrec prepare`") from error


def _read_items(database: DuckDBPyConnection, path: Path) -> Catalogue:
    columns = _columns(database, f"SELECT * FROM read_parquet({quoted_path(path)})")
    item_ids = text_array(columns.pop("item_id").tolist())
    return Catalogue(item_ids, {name: texts.tolist() for name, texts in columns.items()})


def _read_sequences(database: DuckDBPyConnection, path: Path, catalogue: Catalogue) -> tuple[Interactions, Splits]:
    source = f"read_parquet({quoted_path(path)})"
    users = _columns(
        database,
        f"SELECT user_id, len(item_rows) AS length, num_train, num_validation, times IS NULL AS timeless FROM {source}",
    )
    offsets = np.concatenate([[0], np.cumsum(users["length"])]).astype(np.int64)
    times = None
    if not users["timeless"].any():
        times = _columns(database, f"SELECT unnest(times) AS time FROM {source}")["time"].astype(np.int64)
    items = _columns(database, f"SELECT unnest(item_rows) AS item FROM {source}")["item"].astype(np.int32)
    train_end = offsets[:-1] + users["num_train"]
    interactions = Interactions(text_array(users["user_id"].tolist()), catalogue.item_ids, offsets, items, times)
    return interactions, Splits(train_end, train_end + users["num_validation"])


def _columns(database: DuckDBPyConnection, query: str) -> dict[str, ndarray]:
    return database.execute(query).fetchnumpy()
