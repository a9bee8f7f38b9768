"""What a format is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.items import Reader
from genrec.data.sources.rows import Part


@dataclass(frozen=True)
class FileFormat:
    """A format: its own column names, one interactions file as a query, one items file as records.

    items_id: the id column of the items file. keep_first_item: an item that comes twice is no error.
    """

    columns: Columns
    part: Callable[[DuckDBPyConnection, Path, Columns], Part]
    items: Reader
    items_id: str = "item_id"
    keep_first_item: bool = False
