"""The items of a file: read, and checked against those that are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from genrec.additions.changes import Changes
from genrec.additions.coder import changed_field
from genrec.additions.finished_run import FinishedRun
from genrec.data.catalogue import Catalogue, row_order, text_array
from genrec.data.sources import DataConfig, read_items_file
from genrec.data.vector_files import read_vectors
from genrec.errors import DataError


class NewItems(NamedTuple):
    """Those that a file brings: new ones in the order of their rows, with the fields of the run's items."""

    catalogue: Catalogue
    put_back: tuple[str, ...]
    """Known items that had been removed; they come back as they were, with their old codes."""
    file: Path
    ids_in_file: tuple[str, ...]
    """Of both."""
    place_in_file: Int64[ndarray, " items"]
    """Of the new ones."""


def read_new_items(run: FinishedRun, path: Path, changes: Changes | None = None) -> NewItems:
    """The items of a file, or of a folder of parts, in the form that the run's own items had.

    `changes` say which are known and which of these were removed; None: all are taken for new.

    Raises:
        DataError: an item is in the catalogue, or was removed and had other fields; no column is one of the run's; or
            the file is not as documented.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; expected the new items as CSV, TSV, JSONL or Parquet")
    raw = read_items_file(path, run.section("data", DataConfig))
    known, removed = _known_and_removed(changes)
    again = [item_id for item_id in raw.item_ids if item_id in known and item_id not in removed]
    if again:
        raise DataError(
            f"{path}: {len(again)} of {len(raw.item_ids)} items are in the catalogue of {run.path} already "
            f"(first: {again[0]!r}); take them out of the file: the codes of known items never change"
        )
    ordered = row_order(item_id for item_id in raw.item_ids if item_id not in known)
    names = run.catalogue.fields
    if ordered and names and not any(name in raw.fields for name in names):
        raise DataError(
            f"{path} has none of the columns that the items of {run.path} have ({', '.join(names)}); "
            f"it has {', '.join(raw.fields) or 'no texts'}"
        )
    place = {item_id: at for at, item_id in enumerate(raw.item_ids)}
    put_back = tuple(item_id for item_id in raw.item_ids if item_id in removed)
    for item_id in put_back:
        given = {name: raw.fields[name][place[item_id]] for name in names if name in raw.fields}
        _check_as_it_was(item_id, given, run, changes, path)
    order = [place[item_id] for item_id in ordered]
    missing = [""] * len(raw.item_ids)
    fields = {name: [raw.fields.get(name, missing)[at] for at in order] for name in names}
    catalogue = Catalogue(text_array(ordered), fields)
    return NewItems(catalogue, put_back, path, tuple(raw.item_ids), np.array(order, dtype=np.int64))


def vectors_from_file(run: FinishedRun, path: Path, new: NewItems, *, width: int) -> Float[ndarray, "items dim"]:
    """Vectors of the new items, in the order of their rows. `DataError` unless all are there, of the run's width."""
    vectors = read_vectors(path, text_array(new.ids_in_file), order=str(new.file))
    if vectors.shape[1] != width:
        raise DataError(
            f"{path} has vectors of width {vectors.shape[1]}, but those of {run.path} have width {width}; "
            "embed the new items with the same encoder"
        )
    return vectors[new.place_in_file]


def _known_and_removed(changes: Changes | None) -> tuple[frozenset[str], frozenset[str]]:
    if changes is None:
        return frozenset(), frozenset()
    assert changes.semantic_ids.item_ids is not None
    return frozenset(changes.semantic_ids.item_ids.tolist()), changes.removed


def _check_as_it_was(
    item_id: str, given: Mapping[str, str], run: FinishedRun, changes: Changes | None, path: Path
) -> None:
    """`DataError` unless a removed item has the fields that it had."""
    catalogue = run.catalogue
    if item_id not in catalogue.row_of:
        assert changes is not None and changes.additions is not None
        catalogue = changes.additions.catalogue
    name = changed_field(given, catalogue, catalogue.row_of[item_id])
    if name is not None:
        raise DataError(
            f"{path}: item {item_id!r} was removed, and comes back as it was: its codes follow from its fields, and "
            f"{name!r} is another one now; leave it as it was, or give it a new item_id"
        )
