"""Bulk recommendation: a file of histories in, a file of lists out."""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice
from pathlib import Path
from typing import Any

import duckdb

from genrec.atomic_files import atomic_write
from genrec.data.sources.files import open_text
from genrec.data.sources.rows import quoted_path, quoted_text
from genrec.errors import DataError
from genrec.recommendation.draws import seeds_from
from genrec.recommendation.lists import RecommendationList
from genrec.recommendation.recommender import Recommender

_HISTORIES_AT_ONCE = 4096
_FORMATS = "expected a name that ends in .jsonl, .jsonl.gz or .parquet"
_PARQUET_COLUMNS = (
    "{user_id: 'VARCHAR', item_ids: 'VARCHAR[]', scores: 'DOUBLE[]', certified: 'BIGINT', ignored: 'VARCHAR[]', "
    "error: 'VARCHAR'}"
)


_Line = tuple[int, dict[str, Any]]
"""A line's place in the file, from 0, and what it says."""
Ask = Callable[[Sequence[int], Sequence[Sequence[str]]], Sequence[RecommendationList]]
"""The lists of histories, which come with their places in the file."""


def recommend_file(recommender: Recommender, histories: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Write a list for every line of `histories`; how many were read, left empty, and proven to be exact.

    A line has `item_ids` (oldest first) and, if known, `user_id`. A history without a known item gets an empty list
    and the reason under "error". `certified`: how many at the head of a list are proven to be the exact top; null for
    a blend. `options`: those of `Recommender.recommend`.
    """
    return _write_lists(recommender, histories, out, lambda _, asked: recommender.recommend(asked, **options))


def sample_file(recommender: Recommender, histories: Path, out: Path, *, seed: int, **options: Any) -> dict[str, Any]:
    """As `recommend_file`, with the lists of `Recommender.sample`, which takes the other `options`.

    A line draws as it would in one call with the histories of all lines and this seed.
    """
    return _write_lists(
        recommender,
        histories,
        out,
        lambda places, asked: recommender.sample(asked, seed=seeds_from(seed, places), **options),
    )


def _write_lists(recommender: Recommender, histories: Path, out: Path, ask: Ask) -> dict[str, Any]:
    for path in (histories, out):
        if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
            raise DataError(f"{path}: {_FORMATS}")
    if not histories.is_file():
        raise DataError(f"{histories} does not exist; expected a JSONL or Parquet file with a column item_ids")
    counts = {"histories": 0, "without_known_items": 0, "exact": 0}

    def write(path: Path) -> None:
        lines = path.with_suffix(".lines") if out.suffix == ".parquet" else path
        with (gzip.open if out.suffix == ".gz" else open)(lines, "wt", encoding="utf-8") as file:
            for batch in _batches(enumerate(_read_histories(histories))):
                for answer in _answers(recommender, batch, ask):
                    counts["histories"] += 1
                    counts["without_known_items"] += "error" in answer
                    counts["exact"] += answer["certified"] == len(answer["item_ids"])
                    file.write(json.dumps(answer, ensure_ascii=False) + "\n")
        if lines != path:
            _to_parquet(lines, path)
            lines.unlink()

    atomic_write(out, write)
    return {"out": str(out), **counts}


def read_item_ids(path: Path) -> list[str]:
    """Item ids of a text file, one a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; expected a text file with one item_id a line") from error
    item_ids = [line.strip() for line in lines if line.strip()]
    if not item_ids:
        raise DataError(f"{path} is empty; expected one item_id a line")
    return item_ids


def _answers(recommender: Recommender, batch: Sequence[_Line], ask: Ask) -> Iterator[dict]:
    known = [any(item in recommender.catalogue.row_of for item in line["item_ids"]) for _, line in batch]
    asked = list(compress(batch, known))
    lists = iter(ask([place for place, _ in asked], [line["item_ids"] for _, line in asked]) if asked else ())
    for (_, line), is_known in zip(batch, known, strict=True):
        if is_known:
            yield _answer(line, next(lists))
        else:
            error = "no item of the history is in the catalogue"
            yield {**_nothing(line), "ignored": line["item_ids"], "error": error}


def _answer(line: dict[str, Any], found: RecommendationList) -> dict[str, Any]:
    return {
        **_user(line),
        "item_ids": [entry.item_id for entry in found],
        "scores": [entry.score for entry in found],
        "certified": found.certified,
        "ignored": list(found.ignored),
    }


def _nothing(line: dict[str, Any]) -> dict[str, Any]:
    return {**_user(line), "item_ids": [], "scores": [], "certified": None}


def _user(line: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": str(line["user_id"])} if line.get("user_id") is not None else {}


def _batches(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    while batch := list(islice(lines, _HISTORIES_AT_ONCE)):
        yield batch


def _read_histories(path: Path) -> Iterator[dict[str, Any]]:
    """Lines with `item_ids` as text. JSON is read as it stands: no guess turns an id into a date or a number."""
    if path.suffix == ".parquet":
        yield from _read_parquet(path)
        return
    with open_text(path) as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error.msg}); expected one object a line") from error
            items = line.get("item_ids") if isinstance(line, dict) else None
            if not isinstance(items, list):
                raise DataError(
                    f"{path}, line {number}: expected an object with a list item_ids, got {text.strip()[:80]}"
                )
            yield {**line, "item_ids": [str(item) for item in items]}


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    with duckdb.connect() as database:
        try:
            source = f"read_parquet({quoted_path(path)})"
            names = [column[0] for column in database.execute(f"SELECT * FROM {source} LIMIT 0").description or ()]
            if "item_ids" not in names:
                raise DataError(f"{path} has no column item_ids (it has {', '.join(names)}); put the histories there")
            user = "user_id::VARCHAR" if "user_id" in names else "NULL"
            found = database.execute(f"SELECT {user}, item_ids::VARCHAR[] FROM {source}")
            while rows := found.fetchmany(_HISTORIES_AT_ONCE):
                yield from ({"user_id": user_id, "item_ids": list(items or ())} for user_id, items in rows)
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} cannot be read ({reason}); expected a list of item ids in item_ids") from error


def _to_parquet(lines: Path, path: Path) -> None:
    with duckdb.connect() as database:
        source = f"read_json({quoted_text(str(lines))}, format='newline_delimited', columns={_PARQUET_COLUMNS})"
        database.execute(f"COPY (SELECT * FROM {source}) TO {quoted_text(str(path))} (FORMAT parquet)")
