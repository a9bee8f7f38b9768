"""Files with one user a line: user_id, item_ids (oldest first), timestamps if there are any; JSON lines or Parquet."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.file_format import FileFormat
from genrec.data.sources.files import file_kind
from genrec.data.sources.items import table_records
from genrec.data.sources.json_lines import json_names, json_place, json_source
from genrec.data.sources.rows import Part, Place, quoted_name, quoted_path, quoted_text
from genrec.data.sources.table import parquet_names
from genrec.errors import DataError


def sequence_part(database: DuckDBPyConnection, path: Path, columns: Columns) -> Part:
    """One file of sequences as a query of interactions; a line that cannot be used becomes one row with its problem."""
    kind = file_kind(path)
    if kind not in ("jsonl", "parquet"):
        raise DataError(
            f"{path}: sequences are read from JSON lines or Parquet; "
            "for a CSV with one interaction a row choose data.format: table"
        )
    names = json_names(path) if kind == "jsonl" else parquet_names(database, path)
    columns = columns.found_in(names, path)
    if kind == "jsonl":
        types = {columns.user: "VARCHAR", columns.item: "VARCHAR[]"}
        types |= {columns.time: "VARCHAR[]"} if columns.time else {}
        return Part(path, columns, _select(columns, json_source(path, types)), lambda row: json_place(path, row))
    source = f"read_parquet({quoted_path(path)})"
    return Part(path, columns, _select(columns, source), lambda row: Place(f"row {row + 1}"))


def _select(columns: Columns, source: str) -> str:
    time = f"CAST({quoted_name(columns.time)} AS VARCHAR[])" if columns.time else "NULL::VARCHAR[]"
    lines = (
        f"SELECT row_number() OVER () - 1 AS row, CAST({quoted_name(columns.user)} AS VARCHAR) AS user_id, "
        f"CAST({quoted_name(columns.item)} AS VARCHAR[]) AS item_ids, {time} AS times FROM {source}"
    )
    checked = f"SELECT *, {_line_problem(columns)} AS problem FROM ({lines})"
    usable = "CASE WHEN problem IS NULL THEN item_ids ELSE [NULL] END"
    times = "unnest(CASE WHEN problem IS NOT NULL THEN [NULL] ELSE times END)" if columns.time else "NULL::VARCHAR"
    return (
        f"SELECT row, user_id, unnest({usable}) AS item_id, {times} AS time, NULL::VARCHAR AS rating, problem "
        f"FROM ({checked})"
    )


def _line_problem(columns: Columns) -> str:
    """SQL: why the whole line cannot be used, NULL if it can."""
    cases = [
        f"WHEN coalesce(user_id, '') = '' THEN {quoted_text(f'column {columns.user!r} is empty or missing')}",
        f"WHEN item_ids IS NULL THEN {quoted_text(f'column {columns.item!r} is missing or not a list')}",
    ]
    if columns.time:
        no_list = quoted_text(f"column {columns.time!r} is missing or not a list")
        gaps = quoted_text(f"column {columns.time!r} has an empty time")
        lengths = quoted_text(f"column {columns.time!r} must have one time an item: ")
        cases += [
            *([f"WHEN times IS NULL THEN {no_list}"] if columns.all_timed else []),
            f"WHEN len(times) <> len(item_ids) THEN {lengths} || len(times) || ' times, ' || len(item_ids) || ' items'",
            f"WHEN list_count(times) <> len(times) THEN {gaps}",
        ]
    return f"CASE {' '.join(cases)} END"


# a user without times keeps the order of the line, unless the config names the time column
SEQUENCES = FileFormat(
    Columns(item="item_ids", time="timestamps", rating=None, all_timed=False), sequence_part, table_records
)
