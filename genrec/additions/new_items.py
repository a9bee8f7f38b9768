"""The items that are to be added: read, and checked against those that are known."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from genrec.additions.finished_run import FinishedRun
from genrec.data.catalogue import Catalogue, row_order, text_array
from genrec.data.sources import DataConfig, read_items_file
from genrec.data.vector_files import read_vectors
from genrec.errors import DataError


class NewItems(NamedTuple):
    """Items in the order of their rows, with the fields of the run's items."""

    catalogue: Catalogue
    file: Path
    place_in_file: Int64[ndarray, " items"]


def read_new_items(run: FinishedRun, known_ids: ndarray, path: Path) -> NewItems:
    """The items of a file, or of a folder of parts, in the form that the run's own items had.

    Raises:
        DataError: an item is known, no column is one of the run's, or the file is not as documented.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; expected the new items as CSV, TSV, JSONL or Parquet")
    raw = read_items_file(path, run.section("data", DataConfig))
    known = set(known_ids.tolist())
    again = [item_id for item_id in raw.item_ids if item_id in known]
    if again:
        raise DataError(
            f"{path}: {len(again)} of {len(raw.item_ids)} items are in the catalogue of {run.path} already "
            f"(first: {again[0]!r}); take them out of the file: the codes of known items never change"
        )
    names = run.catalogue.fields
    if names and not any(name in raw.fields for name in names):
        raise DataError(
            f"{path} has none of the columns that the items of {run.path} have ({', '.join(names)}); "
            f"it has {', '.join(raw.fields) or 'no texts'}"
        )
    place = {item_id: at for at, item_id in enumerate(raw.item_ids)}
    ordered = row_order(raw.item_ids)
    order = [place[item_id] for item_id in ordered]
    missing = [""] * len(ordered)
    fields = {name: [raw.fields.get(name, missing)[at] for at in order] for name in names}
    return NewItems(Catalogue(text_array(ordered), fields), path, np.array(order, dtype=np.int64))


def vectors_from_file(run: FinishedRun, path: Path, new: NewItems, *, width: int) -> Float[ndarray, "items dim"]:
    """Vectors of the new items, in the order of their rows. `DataError` unless all are there, of the run's width."""
    in_file_order = np.empty_like(new.catalogue.item_ids)
    in_file_order[new.place_in_file] = new.catalogue.item_ids
    vectors = read_vectors(path, in_file_order, order=str(new.file))
    if vectors.shape[1] != width:
        raise DataError(
            f"{path} has vectors of width {vectors.shape[1]}, but those of {run.path} have width {width}; "
            "embed the new items with the same encoder"
        )
    return vectors[new.place_in_file]
