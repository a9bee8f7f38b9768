"""The items file: one item a row, an id column, and any other columns as texts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from genrec.data.sources.bad_rows import NUM_EXAMPLES, check_bad_share
from genrec.data.sources.columns import missing_column
from genrec.data.sources.config import DataConfig
from genrec.data.sources.files import file_kind, numbered_lines, open_text
from genrec.data.sources.json_lines import json_object
from genrec.data.sources.raw import RawItems
from genrec.data.sources.rows import open_database, quoted_path
from genrec.data.sources.table import parquet_names
from genrec.data.sources.text_tables import CSV, TSV, Dialect, column_names, numbered_records
from genrec.errors import DataError


class NoItemsError(DataError):
    """A file without a single item."""


class Record(NamedTuple):
    """One row of an items file: where it stands, and its columns, or (a text) why it cannot be read."""

    where: str
    values: dict | str


Reader = Callable[[Path], Iterator[Record]]


@dataclass
class _Collected:
    """The items so far."""

    item_id: str
    keep_first: bool
    places: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)
    repeated: int = 0

    def add(self, path: Path, record: Record) -> str | None:
        """Keep the record; or say why it cannot be used."""
        if isinstance(record.values, str):
            return record.values
        texts = {str(name): as_text(value) for name, value in record.values.items()}
        key = texts.pop(self.item_id, "")
        if not key:
            return f"column {self.item_id!r} is empty or missing"
        place = f"{path}, {record.where}"
        if key not in self.places:
            self.places[key] = place
            self.rows.append(texts)
        elif self.keep_first:
            self.repeated += 1
        else:
            raise DataError(f"the item {key!r} comes twice: {self.places[key]} and {place}. Keep one row per item")
        return None


def read_items(
    files: Iterable[Path], read: Reader, config: DataConfig, *, item_id: str, keep_first: bool = False
) -> RawItems:
    """All the files' items; every column but `item_id` becomes a field, lists joined.

    keep_first: of several rows for one item the first is kept; otherwise they are an error.
    Raises: DataError for a missing id column, an item_id that comes twice, too many bad rows, a file without items.
    """
    collected = _Collected(item_id, keep_first)
    bad: list[str] = []
    num_read = 0
    for path in files:
        num_before = num_read
        for record in read(path):
            if num_read == num_before and isinstance(record.values, dict) and item_id not in record.values:
                names, remedy = list(record.values), "set data.items_id to the name of the id column"
                raise missing_column(path, item_id, names, remedy=remedy)
            num_read += 1
            problem = collected.add(path, record)
            if problem:
                bad.append(f"{path}, {record.where}: {problem}")
        if num_read == num_before:
            raise NoItemsError(f"{path} is empty: expected one item a row with the column {item_id!r}")
    check_bad_share(len(bad), num_read, bad, config)
    dropped = {"bad_item_rows": len(bad), "repeated_item_rows": collected.repeated}
    return RawItems(list(collected.places), _fields(collected.rows, config.title), dropped, bad[:NUM_EXAMPLES])


def _fields(rows: list[dict[str, str]], title: str | None) -> dict[str, list[str]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if title is not None and title not in names:
        raise DataError(f"the items have no column {title!r} (data.title); they have {', '.join(names) or 'none'}")
    renamed = {name: "title" if name == title else name for name in names}
    lower = [name.lower() for name in renamed.values()]
    for name in ("item_id", *lower):
        if lower.count(name) > (name != "item_id"):
            raise DataError(f"the items file has too many columns called {name!r} (in any case); rename or remove one")
    return {renamed[name]: [row.get(name, "") for row in rows] for name in names}


def as_text(value: object) -> str:
    """A value as one text: lists joined by " > ", lists of lists by "; ", objects as "key: value", nothing as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        texts = [text for text in map(as_text, value) if text]
        return ("; " if any(isinstance(part, list | tuple) for part in value) else " > ").join(texts)
    if isinstance(value, dict):
        parts = {name: as_text(part) for name, part in value.items()}
        return "; ".join(f"{name}: {text}" for name, text in parts.items() if text)
    text = str(value)
    return "" if text == "nan" else text


def table_records(path: Path, *, delimiter: str | None = None) -> Iterator[Record]:
    """The rows of a file of the kind that its extension tells."""
    kind = file_kind(path)
    if kind == "jsonl":
        return json_records(path)
    if kind == "parquet":
        return _parquet_records(path)
    return text_records(path, Dialect(delimiter) if delimiter else {"csv": CSV, "tsv": TSV}[kind])


def text_records(path: Path, dialect: Dialect, *, encoding: str = "utf-8-sig") -> Iterator[Record]:
    """The rows of a file with a delimiter."""
    names = column_names(path, dialect)
    with open_text(path, encoding=encoding) as file:
        records = numbered_records(file, dialect)
        if dialect.names is None:
            next(records)
        for number, record in records:
            problem = f"expected {len(names)} columns, found {len(record)}" if len(record) != len(names) else None
            yield Record(f"line {number}", problem or dict(zip(names, record, strict=True)))


def json_records(path: Path) -> Iterator[Record]:
    """The rows of a file with one JSON object a line; numbers stay as they are written."""
    for number, line in numbered_lines(path):
        yield Record(f"line {number}", json_object(line))


def _parquet_records(path: Path) -> Iterator[Record]:
    with open_database() as database:
        names = parquet_names(database, path)
        cursor = database.execute(f"FROM read_parquet({quoted_path(path)})")
        row = 0
        while batch := cursor.fetchmany(10_000):
            for values in batch:
                row += 1
                yield Record(f"row {row}", dict(zip(names, values, strict=True)))
