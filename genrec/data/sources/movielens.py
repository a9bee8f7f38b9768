"""MovieLens as GroupLens gives it: 100k (u.data, u.item), 1M and 10M (ratings.dat, movies.dat), later sets (.csv)."""

from collections.abc import Iterator
from pathlib import Path

from duckdb import DuckDBPyConnection

from genrec.data.sources.columns import Columns
from genrec.data.sources.file_format import FileFormat
from genrec.data.sources.files import bare_suffix, open_text
from genrec.data.sources.items import Record, text_records
from genrec.data.sources.rows import Part
from genrec.data.sources.table import text_part
from genrec.data.sources.text_tables import CSV, Dialect
from genrec.errors import DataError

_RATINGS = ("userId", "movieId", "rating", "timestamp")
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_U_ITEM = ("movieId", "title", "release_date", "video_release_date", "imdb_url", *_GENRES)


def _part(_: DuckDBPyConnection, path: Path, columns: Columns) -> Part:
    dialects = {
        ".data": Dialect("\t", quote="", names=_RATINGS),
        ".dat": Dialect("::", quote="", names=_RATINGS),
        ".csv": CSV,
    }
    return text_part(path, columns, _of_suffix(path, dialects))


def _records(path: Path) -> Iterator[Record]:
    dialects = {
        ".item": Dialect("|", quote="", names=_U_ITEM),
        ".dat": Dialect("::", quote="", names=("movieId", "title", "genres")),
        ".csv": CSV,
    }
    dialect = _of_suffix(path, dialects)
    for where, values in text_records(path, dialect, encoding=_encoding(path)):
        yield Record(where, values if isinstance(values, str) else _movie(values))


def _of_suffix(path: Path, dialects: dict[str, Dialect]) -> Dialect:
    dialect = dialects.get(bare_suffix(path))
    if dialect is None:
        raise DataError(
            f"{path}: a MovieLens file ends in {', '.join(dialects)}; for other files choose data.format: table"
        )
    return dialect


def _movie(values: dict[str, str]) -> dict[str, str | list[str]]:
    if "genres" in values:
        genres = [] if values["genres"] == "(no genres listed)" else values["genres"].split("|")
    else:
        genres = [genre for genre in _GENRES if values[genre] == "1"]
    return {"movieId": values.get("movieId", ""), "title": values.get("title", ""), "categories": ", ".join(genres)}


def _encoding(path: Path) -> str:
    """UTF-8 where it fits (10M and later), else ISO 8859-1 (100k and 1M)."""
    try:
        with open_text(path) as file:
            for _line in file:
                pass
    except DataError:
        return "iso-8859-1"
    return "utf-8-sig"


MOVIELENS = FileFormat(Columns(user="userId", item="movieId", time_needed=True), _part, _records, items_id="movieId")
