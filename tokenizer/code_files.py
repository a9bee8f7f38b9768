"""Ready-made codes: JSON item_id -> list of codes, .npz, or Parquet, one file or a folder of parts."""

import glob
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from jaxtyping import Int64
from numpy import ndarray


class CodeFile(NamedTuple):
    """The codes of the items that were asked for, in their order."""

    codes: Int64[ndarray, "items levels"]
    item_ids: ndarray
    level_sizes: tuple[int, ...] | None
    """From the file, or the largest code of each level in the whole file plus one."""


def read_code_file(path: Path, *, item_ids: ndarray | Sequence[str] | None = None) -> CodeFile:
    """Codes of `item_ids` (of all items in the file where None).

    Raises:
        ValueError: the file is missing or of another form, an item has no codes, or codes are not whole, not of one
            length, or negative; file and item are named.
    """
    if not path.exists():
        raise ValueError(f"{path} is missing: expected a file of ready-made codes (.json, .npz or .parquet)")
    read = _read_parquet if path.is_dir() else _READERS.get(path.suffix)
    if read is None:
        raise ValueError(
            f"{path}: ready-made codes come as .json (item_id -> list of codes), .npz (item_ids, codes), or .parquet "
            "(columns item_id, codes), one file or a folder of them"
        )
    found = read(path)
    negative = np.argwhere(found.codes < 0)
    if len(negative):
        row, level = negative[0]
        raise ValueError(
            f"{path}: item {str(found.item_ids[row])!r} has the negative code {found.codes[row, level]} at level "
            f"{level}; number codes from 0"
        )
    return found if item_ids is None else _select(path, found, np.asarray(item_ids, dtype=np.str_))


def _select(path: Path, found: CodeFile, item_ids: ndarray) -> CodeFile:
    row_of = {str(item_id): row for row, item_id in enumerate(found.item_ids)}
    missing = [str(item_id) for item_id in item_ids if str(item_id) not in row_of]
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} of {len(item_ids)} items have no codes (first: {missing[0]!r}); "
            "add their codes or take the items out of the catalogue"
        )
    rows = [row_of[str(item_id)] for item_id in item_ids]
    return CodeFile(found.codes[rows], item_ids, found.level_sizes)


def _read_json(path: Path) -> CodeFile:
    try:
        table = json.loads(path.read_bytes(), object_pairs_hook=_refuse_repeated_keys)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON of item_id -> list of codes: {error}") from error
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path}: expected a JSON object of item_id -> list of codes, but found {_glimpse(table)}")
    length = None
    for item_id, codes in table.items():
        if not isinstance(codes, list) or not codes or any(type(code) is not int for code in codes):
            raise ValueError(
                f"{path}: item {item_id!r}: expected whole numbers such as [12, 7, 200], but found {_glimpse(codes)}"
            )
        length = length or len(codes)
        if len(codes) != length:
            raise ValueError(
                f"{path}: item {item_id!r} has {len(codes)} codes where the items before have {length}; "
                "every item needs the same number"
            )
        if max(codes) >= 2**31:
            raise ValueError(f"{path}: item {item_id!r} has code {max(codes)}, which is beyond 2^31 - 1")
    return _code_file(np.array(list(table.values()), dtype=np.int64), np.array(list(table), dtype=np.str_), None)


def _read_npz(path: Path) -> CodeFile:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            codes, item_ids = arrays["codes"], arrays["item_ids"]
            sizes = arrays.get("level_sizes")
    except Exception as error:  # damaged bytes make zipfile and numpy raise errors of many kinds
        raise ValueError(
            f"{path} is not an .npz file with the arrays item_ids and codes, without pickle: {error}"
        ) from error
    if codes.ndim != 2 or 0 in codes.shape or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"{path}: expected whole codes of shape (items, levels), but found {codes.dtype} {codes.shape}"
        )
    if item_ids.shape != (len(codes),) or item_ids.dtype.kind != "U":
        raise ValueError(
            f"{path}: expected {len(codes)} item_ids (strings), but found {item_ids.dtype} {item_ids.shape}"
        )
    return _code_file(codes.astype(np.int64), item_ids, None if sizes is None else tuple(int(size) for size in sizes))


def _read_parquet(path: Path) -> CodeFile:
    files = sorted(path.glob("[!._]*.parquet")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} has no .parquet file: expected parts with the columns item_id and codes")
    try:
        with duckdb.connect() as database:
            names = [glob.escape(str(file)) for file in files]
            rows = database.read_parquet(names).project("item_id::VARCHAR AS item_id, codes::BIGINT[] AS codes")
            ids = rows.project("item_id").fetchnumpy()["item_id"]
            lengths = {length for (length,) in rows.project("len(codes)").distinct().fetchall()}
            flat = rows.project("unnest(codes) AS code").fetchnumpy()["code"]
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is not Parquet with the columns item_id and codes (whole numbers): {reason}"
        ) from error
    if len(lengths) != 1 or not next(iter(lengths)) or np.ma.is_masked(flat) or np.ma.is_masked(ids):
        raise ValueError(f"{path}: every item needs an id and the same number of codes, none of them missing")
    item_ids = np.asarray(ids).astype(np.str_)
    names, counts = np.unique(item_ids, return_counts=True)
    if len(names) < len(item_ids):
        raise ValueError(f"{path}: item {str(names[counts > 1][0])!r} comes more than once")
    return _code_file(np.asarray(flat).astype(np.int64).reshape(len(item_ids), -1), item_ids, None)


def _code_file(codes: Int64[ndarray, "items levels"], item_ids: ndarray, sizes: tuple[int, ...] | None) -> CodeFile:
    return CodeFile(codes, item_ids, sizes or tuple(int(size) + 1 for size in codes.max(axis=0)))


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in table if keys.count(key) > 1)
        raise ValueError(f"item {repeated!r} comes more than once")
    return table


def _glimpse(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


_READERS = {".json": _read_json, ".npz": _read_npz, ".parquet": _read_parquet}
