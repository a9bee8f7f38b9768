"""The SemanticIDs table: one tuple of codes per item. The only place that resolves collisions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int, Int32
from numpy import ndarray

from tokenizer.checkpoint import write_atomically
from tokenizer.code_files import read_code_file

FORMAT_VERSION = 1

Collisions = Literal["extra_code", "keep"]


@dataclass(frozen=True, eq=False)
class SemanticIDs:
    """Codes of every row, coarse to fine. Compare two tables by their `fingerprint`."""

    codes: Int32[ndarray, "items id_length"]
    level_sizes: tuple[int, ...]
    """Number of possible codes of each level."""
    item_ids: ndarray | None = None
    """The outside world's identifiers (strings) in row order, where they are known."""

    def __post_init__(self) -> None:
        _check_codes(self.codes, self.level_sizes)
        if self.item_ids is not None:
            _check_item_ids(self.item_ids, len(self.codes))

    @classmethod
    def from_codes(
        cls,
        codes: Int[ndarray, "items levels"],
        *,
        level_sizes: Sequence[int] | None = None,
        item_ids: ndarray | Sequence[str] | None = None,
        collisions: Collisions = "extra_code",
    ) -> "SemanticIDs":
        """The table of these codes; items that share all of them are told apart by one code more.

        `extra_code` adds a level in which the members of a group are numbered 0, 1, ... by the blake2b hash of their
        item_id, whatever the order they come in (by row where no ids are given). Its size is the largest group's;
        without a collision there is no such level. `keep` leaves items that share an ID as they are. `level_sizes`
        defaults to the largest code of each level plus one.

        Raises:
            ValueError: codes below 0 or beyond their level's size, item_ids that repeat or do not fit in number.
        """
        if collisions not in ("extra_code", "keep"):
            raise ValueError(f"collisions must be 'extra_code' or 'keep', but is {collisions!r}")
        codes = np.asarray(codes)
        if codes.ndim != 2 or 0 in codes.shape:
            raise ValueError(f"expected codes of shape (items, levels) with at least one item, but got {codes.shape}")
        sizes = tuple(int(size) for size in (codes.max(axis=0) + 1 if level_sizes is None else level_sizes))
        _check_codes(codes, sizes)
        codes = codes.astype(np.int32)
        ids = None if item_ids is None else np.asarray(item_ids, dtype=np.str_)
        if ids is not None:
            _check_item_ids(ids, len(codes))
        if collisions == "extra_code":
            extra = _places_in_groups(codes, ids)
            if extra.any():
                codes = np.column_stack([codes, extra])
                sizes = (*sizes, int(extra.max()) + 1)
        return cls(codes, sizes, ids)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        item_ids: ndarray | Sequence[str] | None = None,
        collisions: Collisions = "extra_code",
    ) -> "SemanticIDs":
        """Ready-made codes, in the order of `item_ids` (the file's where None).

        The file is JSON (`{"item_id": [12, 7, 200], ...}`) or .npz (`item_ids`, `codes`, optionally `level_sizes`). It
        may hold more items than asked for.

        Raises:
            ValueError: a file of another form, an item without codes, codes that are ragged, negative or not whole.
        """
        found = read_code_file(Path(path), item_ids=item_ids)
        try:
            return cls.from_codes(
                found.codes, level_sizes=found.level_sizes, item_ids=found.item_ids, collisions=collisions
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def id_length(self) -> int:
        """Number of codes of an ID, the extra one included."""
        return self.codes.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over codes, level sizes and item ids: equal exactly when the tables are."""
        digest = hashlib.sha256(f"semantic IDs {self.codes.shape} {self.level_sizes}".encode())
        digest.update(np.ascontiguousarray(self.codes, dtype="<i4").tobytes())
        for item_id in () if self.item_ids is None else self.item_ids:
            encoded = str(item_id).encode()
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write one .npz file, all or nothing."""
        arrays = {"format": np.array(FORMAT_VERSION), "codes": self.codes, "level_sizes": np.array(self.level_sizes)}
        arrays["fingerprint"] = np.array(self.fingerprint)
        if self.item_ids is not None:
            arrays["item_ids"] = self.item_ids
        write_atomically(Path(path), lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "SemanticIDs":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is missing, damaged, of another format, or not what its fingerprint says.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if int(arrays["format"]) != FORMAT_VERSION:
                    raise ValueError(f"format {int(arrays['format'])} is unknown, expected {FORMAT_VERSION}")
                sizes = tuple(int(size) for size in arrays["level_sizes"])
                loaded = cls(arrays["codes"], sizes, arrays.get("item_ids"))
                if loaded.fingerprint != str(arrays["fingerprint"]):
                    raise ValueError("its content does not match its fingerprint")
        except FileNotFoundError as error:
            raise ValueError(f"{path} is missing: expected a file of semantic IDs; make them again") from error
        except Exception as error:  # damaged bytes make zipfile and numpy raise errors of many kinds
            raise ValueError(f"{path} is not a whole file of semantic IDs ({error}); make them again") from error
        return loaded


def _places_in_groups(codes: Int32[ndarray, "items levels"], item_ids: ndarray | None) -> Int32[ndarray, " items"]:
    """Position of every row among the rows that share its codes: 0 for the first (and for a row of its own)."""
    by_code = np.lexsort(codes.T[::-1])
    starts_group = np.ones(len(codes), dtype=bool)
    starts_group[1:] = (codes[by_code[1:]] != codes[by_code[:-1]]).any(axis=1)
    group = np.empty(len(codes), dtype=np.int64)
    group[by_code] = np.cumsum(starts_group) - 1

    shared = np.flatnonzero(np.bincount(group)[group] > 1)
    shared = shared[np.lexsort((*_hash_order(shared, item_ids), group[shared]))]
    starts = np.flatnonzero(np.diff(group[shared], prepend=-1))
    lengths = np.diff(starts, append=len(shared))
    places = np.zeros(len(codes), dtype=np.int32)
    places[shared] = np.arange(len(shared)) - np.repeat(starts, lengths)
    return places


def _hash_order(rows: Int[ndarray, " rows"], item_ids: ndarray | None) -> tuple[ndarray, ...]:
    """Sort keys of the rows, the last one first as np.lexsort wants them: hash of the item_id, then the item_id."""
    if item_ids is None:
        return (rows,)
    ids = item_ids[rows]
    hashes = [int.from_bytes(hashlib.blake2b(str(item_id).encode(), digest_size=8).digest()) for item_id in ids]
    return ids, np.array(hashes, dtype=np.uint64)


def _check_codes(codes: ndarray, level_sizes: tuple[int, ...]) -> None:
    if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"expected whole codes of shape (items, levels), but got {codes.dtype} {codes.shape}")
    if codes.shape[1] != len(level_sizes):
        raise ValueError(f"{len(level_sizes)} level sizes {level_sizes} do not fit codes of {codes.shape[1]} levels")
    wrong = np.argwhere((codes < 0) | (codes >= np.array(level_sizes)))
    if len(wrong):
        row, level = wrong[0]
        raise ValueError(
            f"{len(wrong)} codes are outside of their level (first: {codes[row, level]} in row {row}, level {level}, "
            f"where 0..{level_sizes[level] - 1} is expected); number codes from 0 and give level_sizes that hold them"
        )


def _check_item_ids(item_ids: ndarray, num_items: int) -> None:
    if item_ids.shape != (num_items,) or item_ids.dtype.kind != "U":
        raise ValueError(f"expected {num_items} item_ids (strings), but got {item_ids.dtype} {item_ids.shape}")
    unique, counts = np.unique(item_ids, return_counts=True)
    if len(unique) < num_items:
        raise ValueError(f"item_id {str(unique[counts > 1][0])!r} comes more than once; every item needs one row")
