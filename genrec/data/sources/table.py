"""Tables with one interaction a row: CSV, TSV, JSON lines, Parquet; plain or .gz."""

import hashlib
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.files import file_kind
from genrec.data.sources.json_lines import json_names, json_place, json_source
from genrec.data.sources.rows import Part, Place, quoted_name, quoted_path, quoted_text
from genrec.data.sources.text_tables import CSV, TSV, Dialect, column_names, line_of_record
from genrec.errors import DataError


def table_part(database: DuckDBPyConnection, path: Path, columns: Columns, *, delimiter: str | None = None) -> Part:
    """A file of the kind that its extension tells, as a query; `delimiter` is a text table's, if not its kind's own."""
    kind = file_kind(path)
    if kind == "jsonl":
        return json_part(path, columns)
    if kind == "parquet":
        columns = columns.found_in(parquet_names(database, path), path)
        source = f"read_parquet({quoted_path(path)})"
        return Part(path, columns, _select(columns, source), lambda row: Place(f"row {row + 1}"))
    return text_part(path, columns, Dialect(delimiter) if delimiter else {"csv": CSV, "tsv": TSV}[kind])


def text_part(path: Path, columns: Columns, dialect: Dialect) -> Part:
    """A file with a delimiter, as a query; every column is read as text."""
    names = column_names(path, dialect)
    columns = columns.found_in(names, path)

    def place(row: int) -> Place:
        line = line_of_record(path, dialect, len(names), row)
        return Place(f"row {row + 1}" if line is None else f"line {line}")

    # its own table for every file; DuckDB takes a name with dots apart
    rejects = "rejects_" + hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()
    return Part(path, columns, _select(columns, _csv_source(path, names, dialect, rejects)), place, rejects)


def _csv_source(path: Path, names: list[str], dialect: Dialect, rejects: str) -> str:
    options = {
        "delim": quoted_text(dialect.delimiter),
        "quote": quoted_text(dialect.quote),
        "escape": quoted_text(dialect.quote),
        "header": str(dialect.names is None),
        "auto_detect": "false",
        "columns": "{" + ", ".join(f"{quoted_text(name)}: 'VARCHAR'" for name in names) + "}",
        "store_rejects": "true",
        "rejects_limit": "0",  # without limit
        "rejects_table": quoted_text(rejects),
        "rejects_scan": quoted_text(f"scan_of_{rejects}"),
    }
    return f"read_csv({quoted_path(path)}, {', '.join(f'{name}={value}' for name, value in options.items())})"


def json_part(path: Path, columns: Columns) -> Part:
    """A file with one JSON object a line, as a query."""
    columns = columns.found_in(json_names(path), path)
    used = (columns.user, columns.item, columns.time, columns.rating)
    source = json_source(path, {name: "VARCHAR" for name in used if name is not None})
    return Part(path, columns, _select(columns, source), lambda row: json_place(path, row))


def parquet_names(database: DuckDBPyConnection, path: Path) -> list[str]:
    """The column names of a Parquet file. Raises: DataError for a file that is none."""
    try:
        columns = database.execute(f"DESCRIBE FROM read_parquet({quoted_path(path)})").fetchall()
    except duckdb.Error as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}. Write or download it again") from error
    return [name for name, *_ in columns]


def _select(columns: Columns, source: str) -> str:
    def text(name: str | None) -> str:
        return "NULL::VARCHAR" if name is None else f"CAST({quoted_name(name)} AS VARCHAR)"

    return (
        f"SELECT row_number() OVER () - 1 AS row, {text(columns.user)} AS user_id, {text(columns.item)} AS item_id, "
        f"{text(columns.time)} AS time, {text(columns.rating)} AS rating, NULL::VARCHAR AS problem FROM {source}"
    )
