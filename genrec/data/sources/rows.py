"""Interactions of any file format -> checked arrays. DuckDB reads and encodes, in the order of the files."""

import glob
import tempfile
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from duckdb import DuckDBPyConnection
from numpy import ndarray

from genrec.data.sources.bad_rows import NUM_EXAMPLES, check_bad_share
from genrec.data.sources.columns import Columns
from genrec.data.sources.config import DataConfig
from genrec.data.sources.raw import RawInteractions
from genrec.errors import DataError

_MEMORY = "2GB"
_ROWS_PER_FETCH = 4_000_000
_MAX_UNIX_S = 100_000_000_000  # the year 5138: a larger number is surely in milliseconds


class Place(NamedTuple):
    """Where a row stands ("line 12"), and what is wrong there if the place itself tells."""

    where: str
    why: str | None = None


class Part(NamedTuple):
    """One file as a query with the columns row (from 0), user_id, item_id, time, rating, problem (texts or NULL)."""

    path: Path
    columns: Columns
    select: str
    place: Callable[[int], Place]
    rejects: str | None = None  # the table in which DuckDB's CSV reader notes the lines that it cannot read


@contextmanager
def open_database() -> Iterator[DuckDBPyConnection]:
    """A database in memory that keeps the order of files and never uses the network.

    It takes at most `_MEMORY` for itself; what is more goes to a temporary folder, which `TMPDIR` moves elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="genrec-duckdb-") as folder:
        options: dict[str, Any] = {
            "temp_directory": folder,
            "memory_limit": _MEMORY,
            "autoinstall_known_extensions": "false",
        }
        connection = duckdb.connect(config=options)
        try:
            connection.execute(
                "SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET enable_progress_bar = false"
            )
            yield connection
        finally:
            connection.close()


def quoted_text(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_path(path: Path) -> str:
    """The path as an SQL literal for a reader, in which `*`, `?` and `[` stand for themselves."""
    return quoted_text(glob.escape(str(path)))


def quoted_name(name: str) -> str:
    """The column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read_rows(
    database: DuckDBPyConnection, parts: Sequence[Part], config: DataConfig, *, known_items: Set[str] | None
) -> RawInteractions:
    """All parts in one table, checked and encoded.

    Raises: DataError for files without rows, for more bad rows than `config.max_bad_share`, and for items that are not
    in `known_items` (None: any item) unless `config.unknown_items` is "drop".
    """
    if len({part.columns.time is None for part in parts}) > 1:
        without = next(part.path for part in parts if part.columns.time is None)
        raise DataError(f"{without} has no time column, but other parts have one; give all of them one, or none")
    database.execute(
        "CREATE TABLE rows (part INTEGER, row BIGINT, user_id VARCHAR, item_id VARCHAR, "
        "time BIGINT, problem VARCHAR, low BOOLEAN)"
    )
    for number, part in enumerate(parts):
        _insert(database, number, part, config)
    dropped: dict[str, int] = {}
    dropped["bad_rows"], examples = _drop_bad_rows(database, parts, config)
    dropped["low_rating"] = _delete(database, "low")
    if known_items is not None:
        dropped["unknown_items"] = _drop_unknown_items(database, parts, known_items, config)
    return _encode(database, has_time=parts[0].columns.time is not None, dropped=dropped, bad_rows=examples)


def _insert(database: DuckDBPyConnection, number: int, part: Part, config: DataConfig) -> None:
    stars = "FALSE" if config.min_rating is None else f"coalesce(stars < {float(config.min_rating)!r}, FALSE)"
    try:
        database.execute(
            f"INSERT INTO rows SELECT {number}, row, user_id, item_id, seconds, "
            f"coalesce(problem, {_problem(part.columns)}), {stars} "
            f"FROM (SELECT *, {_seconds(part.columns)} AS seconds, try_cast(rating AS DOUBLE) AS stars "
            f"FROM ({part.select}))"
        )
    except duckdb.Error as error:
        raise DataError(f"{part.path} cannot be read: {error}. Mend the file or download it again") from error


def _seconds(columns: Columns) -> str:
    """SQL: the text `time` in whole unix seconds; NULL if it is neither a number nor an ISO time, or out of range."""
    unit = 1000 if columns.time_unit == "milliseconds" else 1
    number = f"floor(coalesce(try_cast(time AS DOUBLE) / {unit}, epoch(try_cast(time AS TIMESTAMPTZ))))"
    return f"CASE WHEN abs({number}) < {_MAX_UNIX_S} THEN CAST({number} AS BIGINT) END"


def _problem(columns: Columns) -> str:
    """SQL: what is wrong with a row, NULL if nothing is."""
    empty = "is empty or missing"
    unit = f"unix {columns.time_unit}"
    cases = [
        f"WHEN coalesce(user_id, '') = '' THEN {quoted_text(f'column {columns.user!r} {empty}')}",
        f"WHEN coalesce(item_id, '') = '' THEN {quoted_text(f'column {columns.item!r} {empty}')}",
    ]
    if columns.time is not None:
        expected = f"is neither {unit} nor an ISO time (numbers in milliseconds need data.time_unit: milliseconds)"
        missing = "seconds IS NULL" if columns.all_timed else "seconds IS NULL AND time IS NOT NULL"
        cases.append(_value_case(missing, "time", columns.time, expected))
    if columns.rating is not None:
        cases.append(_value_case("stars IS NULL OR isnan(stars)", "rating", columns.rating, "is not a number"))
    return f"CASE {' '.join(cases)} END"


def _value_case(condition: str, value: str, name: str, expected: str) -> str:
    shown = f"coalesce('''' || left({value}, 40) || '''', 'nothing')"
    return f"WHEN {condition} THEN {quoted_text(f'column {name!r}: ')} || {shown} || {quoted_text(f' {expected}')}"


def _drop_bad_rows(database: DuckDBPyConnection, parts: Sequence[Part], config: DataConfig) -> tuple[int, list[str]]:
    """How many rows were dropped as unreadable, and the first of them in words."""
    num_rejected, rejected = _rejected(database, parts)
    num_rows, num_bad = _one(database, "SELECT count(*), count(problem) FROM rows")
    first = database.execute(
        f"SELECT part, row, problem FROM rows WHERE problem IS NOT NULL ORDER BY part, row LIMIT {NUM_EXAMPLES}"
    ).fetchall()
    examples = rejected + [_described(parts[part], row, problem) for part, row, problem in first]
    if num_rows + num_rejected == 0:
        raise DataError(f"{_names(parts)} has no interactions: expected a table with at least one row")
    check_bad_share(num_bad + num_rejected, num_rows + num_rejected, examples, config)
    _delete(database, "problem IS NOT NULL")
    return num_bad + num_rejected, examples[:NUM_EXAMPLES]


def _rejected(database: DuckDBPyConnection, parts: Sequence[Part]) -> tuple[int, list[str]]:
    """How many lines the CSV reader could not read, and the first of them in words."""
    total, examples = 0, []
    for part in parts:
        if part.rejects is None:
            continue
        table = quoted_name(part.rejects)
        total += _one(database, f"SELECT count(DISTINCT line) FROM {table}")[0]
        first = database.execute(
            f"SELECT line, any_value(column_name), any_value(error_message) FROM {table} "
            f"GROUP BY line ORDER BY line LIMIT {NUM_EXAMPLES}"
        ).fetchall()
        examples += [
            f"{part.path}, line {line}{f', column {name!r}' if name else ''}: {text}" for line, name, text in first
        ]
    return total, examples


def _drop_unknown_items(
    database: DuckDBPyConnection, parts: Sequence[Part], known_items: Set[str], config: DataConfig
) -> int:
    """How many rows were dropped because of their item."""
    used = database.execute("SELECT DISTINCT item_id FROM rows").fetchall()
    unknown = sorted(item_id for (item_id,) in used if item_id not in known_items)
    if not unknown:
        return 0
    database.execute("CREATE TABLE unknown AS SELECT unnest(?) AS item_id", [unknown])
    if config.unknown_items == "error":
        number, row, item_id, user_id = _one(
            database,
            "SELECT part, row, item_id, user_id FROM rows SEMI JOIN unknown USING (item_id) ORDER BY part, row LIMIT 1",
        )
        raise DataError(
            f"{parts[number].path}, {parts[number].place(row).where}, column {parts[number].columns.item!r}: "
            f"the item {item_id!r} of user {user_id!r} is not in the items file ({len(unknown)} such items in all). "
            "Add the items to the file, or drop their interactions with data.unknown_items: drop"
        )
    return _delete(database, "item_id IN (SELECT item_id FROM unknown)")


def _encode(
    database: DuckDBPyConnection, *, has_time: bool, dropped: dict[str, int], bad_rows: list[str]
) -> RawInteractions:
    user_ids, users = _codes(database, "user_id")
    item_ids, items = _codes(database, "item_id")
    times, untimed = None, 0
    if has_time:
        times = _column(database, "coalesce(time, 0)", np.int64)
        untimed = _one(database, "SELECT count(DISTINCT user_id) FROM rows WHERE time IS NULL")[0]
    return RawInteractions(user_ids, item_ids, users, items, times, untimed, dropped=dropped, bad_rows=bad_rows)


def _codes(database: DuckDBPyConnection, column: str) -> tuple[ndarray, ndarray]:
    """The distinct ids, sorted, and the position of every row's id among them."""
    database.execute(f"CREATE TYPE {column}s AS ENUM (SELECT DISTINCT {column} FROM rows ORDER BY {column})")
    ids = database.execute(f"SELECT unnest(enum_range(NULL::{column}s)) AS id").fetchnumpy()["id"]
    return np.asarray(ids).astype(np.str_), _column(database, f"enum_code({column}::{column}s)", np.int32)


def _column(database: DuckDBPyConnection, expression: str, dtype: type[np.integer]) -> ndarray:
    """The values of all rows, fetched a stretch at a time: a whole result would be in memory twice."""
    count, end = _one(database, "SELECT count(*), coalesce(max(rowid) + 1, 0) FROM rows")
    column, filled = np.empty(count, dtype=dtype), 0
    for begin in range(0, end, _ROWS_PER_FETCH):
        stretch = f"rowid >= {begin} AND rowid < {begin + _ROWS_PER_FETCH}"
        values = database.execute(f"SELECT {expression} AS value FROM rows WHERE {stretch}").fetchnumpy()["value"]
        column[filled : filled + len(values)] = values
        filled += len(values)
    return column


def _delete(database: DuckDBPyConnection, condition: str) -> int:
    return _one(database, f"DELETE FROM rows WHERE {condition}")[0]


def _one(database: DuckDBPyConnection, query: str) -> tuple:
    row = database.execute(query).fetchone()
    assert row is not None
    return row


def _described(part: Part, row: int, problem: str) -> str:
    place = part.place(row)
    return f"{part.path}, {place.where}: {place.why or problem}"


def _names(parts: Sequence[Part]) -> str:
    return str(parts[0].path) if len(parts) == 1 else f"{parts[0].path.parent} ({len(parts)} files)"
