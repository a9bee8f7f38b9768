"""Amazon reviews as J. McAuley's group gives them, in the releases of 2014, 2018 and 2023.

Reviews: JSON lines, or the ratings-only .csv (2014: user, item, rating, time; 2018: item, user, rating, time, both
without a header; 2023 with one). Metadata: JSON lines; in 2014 a line is a Python dict, read as a literal, never run.
The metadata has far more items than a 5-core has: `data.k_core: 5` or `data.cold_items: drop` leaves them out.
"""

import ast
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.file_format import FileFormat
from genrec.data.sources.files import bare_suffix, numbered_lines
from genrec.data.sources.items import Record
from genrec.data.sources.json_lines import json_object
from genrec.data.sources.rows import Part
from genrec.data.sources.table import json_part, text_part
from genrec.data.sources.text_tables import CSV, Dialect

# our field: the releases' names for it
_FIELDS = {
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "price": ("price",),
    "features": ("features", "feature"),
    "description": ("description",),
}
_PROSE = ("features", "description")  # lists of sentences, not of categories


def _part(_: DuckDBPyConnection, path: Path, columns: Columns, *, ratings: Dialect) -> Part:
    return text_part(path, columns, ratings) if bare_suffix(path) == ".csv" else json_part(path, columns)


def _records(path: Path, *, parse: Callable[[str], dict | str]) -> Iterator[Record]:
    for number, line in numbered_lines(path):
        value = parse(line)
        yield Record(f"line {number}", value if isinstance(value, str) else _item(value))


def _item(value: dict) -> dict[str, object]:
    item: dict[str, object] = {name: value[name] for name in ("asin", "parent_asin") if name in value}
    for name, sources in _FIELDS.items():
        found = next((value[source] for source in sources if value.get(source)), None)
        if name in _PROSE and isinstance(found, list):
            found = " ".join(map(str, found))
        item[name] = found
    return item


def json_or_python(line: str) -> dict | str:
    """The dict on the line, written as JSON or as a Python literal; where there is none, what is wrong."""
    value = json_object(line)
    if isinstance(value, dict):
        return value
    try:
        value = ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        return f"neither JSON nor a Python dict ({error})"
    return value if isinstance(value, dict) else "a Python value, but not a dict"


_REVIEWS = Columns(user="reviewerID", item="asin", time="unixReviewTime", rating="overall", time_needed=True)
_RATINGS_2014 = Dialect(",", names=("reviewerID", "asin", "overall", "unixReviewTime"))
_RATINGS_2018 = Dialect(",", names=("asin", "reviewerID", "overall", "unixReviewTime"))
_REVIEWS_2023 = Columns(item="parent_asin", time_needed=True, time_unit="milliseconds")

AMAZON_2014 = FileFormat(
    _REVIEWS,
    partial(_part, ratings=_RATINGS_2014),
    partial(_records, parse=json_or_python),
    "asin",
    keep_first_item=True,
)
AMAZON_2018 = FileFormat(
    _REVIEWS, partial(_part, ratings=_RATINGS_2018), partial(_records, parse=json_object), "asin", keep_first_item=True
)
AMAZON_2023 = FileFormat(
    _REVIEWS_2023,
    partial(_part, ratings=CSV),
    partial(_records, parse=json_object),
    "parent_asin",
    keep_first_item=True,
)
