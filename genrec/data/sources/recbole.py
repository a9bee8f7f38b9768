"""RecBole's atomic files: `.inter` and `.item`, tab-separated, with types in the header (`user_id:token`)."""

from collections.abc import Iterator
from pathlib import Path

from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.file_format import FileFormat
from genrec.data.sources.items import Record, text_records
from genrec.data.sources.rows import Part
from genrec.data.sources.table import text_part
from genrec.data.sources.text_tables import Dialect

_ATOMIC = Dialect("\t", quote="", typed_header=True)


def _part(_: DuckDBPyConnection, path: Path, columns: Columns) -> Part:
    return text_part(path, columns, _ATOMIC)


def _records(path: Path) -> Iterator[Record]:
    return text_records(path, _ATOMIC)


RECBOLE = FileFormat(Columns(), _part, _records)
