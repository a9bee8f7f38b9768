"""Vectors of one's own for the items: .npy, .npz or Parquet."""

import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from genrec.atomic_files import atomic_write
from genrec.data.sources.rows import open_database, quoted_name, quoted_path, quoted_text
from genrec.errors import ArtifactError, DataError

_FORMS_WITH_IDS = ".npz (item_ids, vectors) or .parquet (columns item_id, vector)"


class ItemVectors(NamedTuple):
    """Items and their vectors, in the order of a file."""

    item_ids: list[str]
    vectors: Float32[ndarray, "items embedding_dim"]


def read_vector_part(path: Path) -> ItemVectors:
    """All of a Parquet file with columns item_id and vector, in its order; `DataError` if it is of another form."""
    try:
        found = _parquet_columns(path)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as vectors ({reason}); expected Parquet: item_id, vector") from error
    return ItemVectors(found.item_ids, _finite(path, found.vectors, np.array(found.item_ids)))


def write_lists(path: Path, item_ids: Sequence[str], name: str, rows: Shaped[ndarray, "items width"]) -> None:
    """Parquet with columns item_id and `name`, a list a row; the file appears whole or not at all."""
    kind = "INTEGER" if np.issubdtype(rows.dtype, np.integer) else "FLOAT"
    flat = {"row": np.repeat(np.arange(len(rows)), rows.shape[1]), "value": np.ascontiguousarray(rows).ravel()}
    flat["place"] = np.arange(flat["value"].size)
    lists = f"SELECT row, list(value ORDER BY place)::{kind}[] AS list FROM flat GROUP BY row"

    def write(temporary: Path) -> None:
        with open_database() as database:
            database.register("flat", flat)
            database.register("ids", {"row": np.arange(len(rows)), "item_id": np.array(item_ids, dtype=np.str_)})
            query = f"SELECT item_id, list AS {quoted_name(name)} FROM ids JOIN ({lists}) USING (row) ORDER BY row"
            database.execute(f"COPY ({query}) TO {quoted_text(str(temporary))} (FORMAT parquet)")

    atomic_write(path, write)


def write_vectors(path: Path, parts: Iterable[Float32[ndarray, "_ embedding_dim"]], *, count: int) -> int:
    """Put `count` vectors, which come in parts, into an .npy file, whole or not at all; their width.

    A part is forgotten once it is written, so that memory does not grow with their number.
    """
    width = 0

    def write(temporary: Path) -> None:
        nonlocal width
        written = 0
        with temporary.open("wb") as file:
            for part in parts:
                if not written:
                    width = part.shape[1]
                    header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
                    np.lib.format.write_array_header_1_0(file, header)
                np.ascontiguousarray(part, dtype="<f4").tofile(file)
                written += len(part)
        if written != count:
            raise ValueError(f"expected {count} vectors, got {written}")

    atomic_write(path, write)
    return width


def open_vectors(path: Path) -> Float32[ndarray, "items embedding_dim"]:
    """What `write_vectors` wrote, left on disk. `ArtifactError` if it is damaged."""
    try:
        vectors = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # a damaged header makes numpy raise errors of many kinds
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ArtifactError(f"{path} is not a whole file of vectors ({reason}); embed the items again") from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise ArtifactError(f"{path} holds {vectors.dtype} {vectors.shape}, not float32 vectors; embed the items again")
    return vectors


def read_vectors(
    path: Path, item_ids: ndarray, *, order: str = "items.parquet"
) -> Float32[ndarray, "items embedding_dim"]:
    """The vector of every item, in the order of `item_ids`; further items in the file are left out.

    `order` names the file whose order `item_ids` have, which is that of an .npy.

    Raises:
        DataError: another form or number of rows, an item without a vector, a value that is not finite.
    """
    forms = f"expected .npy (one row an item, in the order of {order}), {_FORMS_WITH_IDS}"
    if not path.is_file():
        raise DataError(f"the file of vectors {path} does not exist; {forms}")
    try:
        if path.suffix == ".npy":
            vectors = _read_npy(path, item_ids, order)
        else:
            vectors = _READERS[path.suffix](path, item_ids) if path.suffix in _READERS else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, duckdb.Error) as error:
        reason = str(error).partition("\n")[0]  # DuckDB repeats its query below
        raise DataError(f"{path} cannot be read as vectors ({reason}); {forms}") from error
    if vectors is None:
        raise DataError(f"{path} is of an unknown kind; {forms}")
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{path} holds {vectors.dtype} {vectors.shape}; expected floats of shape (items, embedding_dim)"
        )
    return _finite(path, np.ascontiguousarray(vectors, dtype=np.float32), item_ids)


def _finite(path: Path, vectors: ndarray, item_ids: ndarray) -> Float32[ndarray, "items embedding_dim"]:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(
            f"{path}: {len(bad)} vectors have values that are not finite "
            f"(first: row {bad[0]}, item {item_ids[bad[0]]}); embed these items again"
        )
    return vectors


def _read_npy(path: Path, item_ids: ndarray, order: str) -> ndarray:
    vectors = np.load(path, allow_pickle=False)
    if len(vectors) != len(item_ids):
        raise DataError(
            f"{path} has {len(vectors)} rows, but there are {len(item_ids)} items; expected one row an item, in the "
            f"order of {order}. An .npz or Parquet file with item ids is safer"
        )
    return vectors


def _read_npz(path: Path, item_ids: ndarray) -> ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return _in_order(path, arrays["item_ids"].tolist(), arrays["vectors"], item_ids)


def _read_parquet(path: Path, item_ids: ndarray) -> ndarray:
    found = _parquet_columns(path)
    return _in_order(path, found.item_ids, found.vectors, item_ids)


def _parquet_columns(path: Path) -> "ItemVectors":
    source = f"read_parquet({quoted_path(path)})"
    with open_database() as database:
        ids = database.execute(f"SELECT item_id::VARCHAR AS item_id FROM {source}").fetchnumpy()["item_id"]
        widths = database.execute(f"SELECT DISTINCT len(vector) FROM {source}").fetchall()
        if not widths:
            return ItemVectors([], np.zeros((0, 0), dtype=np.float32))
        if len(widths) != 1 or not widths[0][0]:
            raise DataError(
                f"{path}: all vectors must have one width, but they have {sorted(w[0] or 0 for w in widths)}"
            )
        flat = database.execute(f"SELECT unnest(vector)::FLOAT AS value FROM {source}").fetchnumpy()["value"]
    return ItemVectors(ids.tolist(), np.ma.filled(flat, np.nan).reshape(-1, widths[0][0]))


def _in_order(path: Path, found: list[str], vectors: ndarray, item_ids: ndarray) -> ndarray:
    if len(found) != len(vectors):
        raise DataError(f"{path} has {len(found)} item ids, but {len(vectors)} vectors")
    place = {str(item_id): row for row, item_id in enumerate(found)}
    if len(place) < len(found):
        twice = next(item_id for item_id, count in Counter(map(str, found)).items() if count > 1)
        raise DataError(f"{path} has several vectors for item {twice}; keep one an item")
    missing = [item_id for item_id in item_ids.tolist() if item_id not in place]
    if missing:
        raise DataError(f"{path} has no vector for {len(missing)} items (first: {missing[0]}); add them")
    return np.asarray(vectors)[[place[item_id] for item_id in item_ids.tolist()]]


_READERS = {".npz": _read_npz, ".parquet": _read_parquet}
