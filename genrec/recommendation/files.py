"""Bulk recommendation: a file of histories in, a file of lists out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from genrec.atomic_files import atomic_write
from genrec.data.sources.rows import quoted_path, quoted_text
from genrec.errors import DataError, UnknownItemError
from genrec.recommendation.recommender import RecommendationList, Recommender

_HISTORIES_AT_ONCE = 4096
_FORMATS = "expected a name that ends in .jsonl, .jsonl.gz or .parquet"


def recommend_file(recommender: Recommender, histories: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Write a list for every line of `histories`; what was read, answered and left empty.

    A line has `item_ids` (oldest first) and, if known, `user_id`. A history without a known item gets an empty list
    and the reason under "error". `options`: those of `Recommender.recommend`.
    """
    _check_format(out)
    counts = {"histories": 0, "without_known_items": 0}

    def write(path: Path) -> None:
        lines = path if out.suffix == ".jsonl" else path.with_suffix(".jsonl")
        with lines.open("w", encoding="utf-8") as file:
            for batch in _read_histories(histories):
                for answer in _answers(recommender, batch, options):
                    counts["histories"] += 1
                    counts["without_known_items"] += "error" in answer
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


def _answers(recommender: Recommender, batch: Sequence[dict[str, Any]], options: dict[str, Any]) -> Iterator[dict]:
    known = [line for line in batch if any(item in recommender.catalogue.row_of for item in line["item_ids"])]
    lists = iter(recommender.recommend([line["item_ids"] for line in known], **options) if known else ())
    known_lines = {id(line) for line in known}
    for line in batch:
        if id(line) in known_lines:
            yield _answer(line, next(lists))
        else:
            error = str(UnknownItemError("no item of the history is in the catalogue"))
            yield {**_user(line), "item_ids": [], "scores": [], "ignored": line["item_ids"], "error": error}


def _answer(line: dict[str, Any], found: RecommendationList) -> dict[str, Any]:
    return {
        **_user(line),
        "item_ids": [entry.item_id for entry in found],
        "scores": [entry.score for entry in found],
        "ignored": list(found.ignored),
    }


def _user(line: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": line["user_id"]} if "user_id" in line else {}


def _read_histories(path: Path) -> Iterator[list[dict[str, Any]]]:
    _check_format(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected a JSONL or Parquet file with a column item_ids")
    reader = "read_parquet" if path.suffix == ".parquet" else "read_json_auto"
    with duckdb.connect() as database:
        try:
            found = database.execute(f"SELECT * FROM {reader}({quoted_path(path)})")
            names = [column[0] for column in found.description or ()]
            if "item_ids" not in names:
                raise DataError(f"{path} has no column item_ids (it has {', '.join(names)}); put the histories there")
            while rows := found.fetchmany(_HISTORIES_AT_ONCE):
                yield [_checked(dict(zip(names, row, strict=True)), path) for row in rows]
        except duckdb.Error as error:
            raise DataError(f"{path} cannot be read: {error}") from error


def _checked(line: dict[str, Any], path: Path) -> dict[str, Any]:
    if not isinstance(line["item_ids"], list):
        raise DataError(f"{path}: item_ids must be a list of item ids, got {line['item_ids']!r}")
    return {**line, "item_ids": [str(item) for item in line["item_ids"]]}


def _to_parquet(lines: Path, path: Path) -> None:
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT * FROM read_json_auto({quoted_text(str(lines))}, sample_size=-1)) "
            f"TO {quoted_text(str(path))} (FORMAT parquet)"
        )


def _check_format(path: Path) -> None:
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
        raise DataError(f"{path}: {_FORMATS}")
