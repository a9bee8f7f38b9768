"""Text files with a delimiter: how they are written, their column names, and their records with line numbers."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from genrec.data.sources.files import open_text
from genrec.errors import DataError

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    quote: "" means that quotes are letters like others. names: None means that the first line has them; there
    `typed_header` cuts a type off each name (RecBole writes `user_id:token`).
    """

    delimiter: str
    quote: str = '"'
    names: tuple[str, ...] | None = None
    typed_header: bool = False


CSV = Dialect(",")
TSV = Dialect("\t")


def column_names(path: Path, dialect: Dialect) -> list[str]:
    """The dialect's own names, or those of the first line.

    Raises: DataError for an empty file, and for a name that stands there twice.
    """
    if dialect.names is not None:
        return list(dialect.names)
    with open_text(path, errors="replace") as file:
        _, written = next(numbered_records(file, dialect), (0, []))
    if not any(written):
        raise DataError(f"{path} is empty: expected a first line with the column names, and one row a line after it")
    names = [name.split(":")[0] for name in written] if dialect.typed_header else written
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: the column name {twice[0]!r} stands there twice; rename one of the columns")
    return names


def numbered_records(file: TextIOWrapper, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the number of the line on which it begins; a header counts as a record."""
    if not dialect.quote:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n").split(dialect.delimiter)
        return
    reader = csv.reader(file, delimiter=dialect.delimiter, quotechar=dialect.quote)
    begin = 1
    for record in reader:
        if record:
            yield begin, record
        begin = reader.line_num + 1


def line_of_record(path: Path, dialect: Dialect, num_columns: int, position: int) -> int | None:
    """The line of the position-th (from 0) record, counting those with the right number of columns, all of it UTF-8.

    None if there is no such record. Reads the file from its beginning: it is for error messages.
    """
    with open_text(path, errors="surrogateescape") as file:
        records = numbered_records(file, dialect)
        if dialect.names is None:
            next(records)
        for number, record in records:
            if len(record) == num_columns and not any(map(_has_escaped_bytes, record)):
                if position == 0:
                    return number
                position -= 1
    return None


def _has_escaped_bytes(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)
