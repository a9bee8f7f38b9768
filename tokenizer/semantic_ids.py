"""The SemanticIDs table: one tuple of codes per item. No other place makes one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Int32
from numpy import ndarray

from tokenizer.appending import free_ids
from tokenizer.code_files import read_code_file
from tokenizer.code_groups import group_numbers, shared_rows
from tokenizer.contract import Tokenizer
from tokenizer.last_level import LastLevelDistances, tokenizer_distances
from tokenizer.sealed_npz import read_sealed_npz, write_sealed_npz
from tokenizer.uniqueness import Collisions, check_collisions, told_apart

FORMAT_VERSION = 2


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
        last_level_distances: LastLevelDistances | None = None,
    ) -> "SemanticIDs":
        """The table of these codes; items that share all of them are told apart as `collisions` says.

        `extra_code` adds a level in which the members of a group are numbered 0, 1, ... by the blake2b hash of their
        item_id, whatever the order they come in (by row where no ids are given). Its size is the largest group's;
        without a collision there is no such level. `nearest_free` first lets all but the nearest item of a group take
        the nearest last code that is free under their prefix, and `balanced` chooses all last codes anew so that they
        are in even use and differ under a prefix; what still collides gets the extra code. `keep` leaves items that
        share an ID as they are.

        Args:
            level_sizes: defaults to the largest code of each level plus one.
            last_level_distances: rows of `codes` -> squared distances (rows, codes of the last level) under the row's
                other codes; `nearest_free` and `balanced` need them. A function, so that not all are held at once.

        Raises:
            ValueError: codes below 0 or beyond their level's size, item_ids that repeat or do not fit in number,
                distances that are missing, of another shape or not finite.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or 0 in codes.shape:
            raise ValueError(f"expected codes of shape (items, levels) with at least one item, but got {codes.shape}")
        sizes = tuple(int(size) for size in (codes.max(axis=0) + 1 if level_sizes is None else level_sizes))
        _check_codes(codes, sizes)
        ids = None if item_ids is None else np.asarray(item_ids, dtype=np.str_)
        if ids is not None:
            _check_item_ids(ids, len(codes))
        unique, sizes = told_apart(codes.astype(np.int32), sizes, ids, collisions, last_level_distances)
        return cls(unique, sizes, ids)

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Tokenizer,
        embeddings: Float[ndarray, "items dim"],
        *,
        item_ids: ndarray | Sequence[str] | None = None,
        collisions: Collisions = "extra_code",
    ) -> "SemanticIDs":
        """The table of the codes that the tokenizer gives; `collisions` as in `from_codes`."""
        codes = tokenizer.encode(embeddings)
        distances = tokenizer_distances(tokenizer, embeddings, codes)
        return cls.from_codes(
            codes,
            level_sizes=tokenizer.level_sizes,
            item_ids=item_ids,
            collisions=collisions,
            last_level_distances=distances,
        )

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

    def append(
        self,
        codes: Int[ndarray, "new levels"],
        item_ids: ndarray | Sequence[str],
        *,
        collisions: Collisions = "extra_code",
        last_level_distances: LastLevelDistances | None = None,
    ) -> "SemanticIDs":
        """A table with new items behind the old ones. No ID of an old item and no level size changes.

        The codes are as the tokenizer gave them: as many as id_length, one less where this table has an extra level.
        An item whose ID is taken gets the lowest free extra code, if there is such a level; else the nearest last code
        free under its prefix (without `last_level_distances` the lowest), extra code 0 first. Under a full prefix it
        shares an ID of its codes. `keep` always shares, with extra code 0; the other `collisions` mean the same here.
        The new items may come in any order.

        Args:
            last_level_distances: rows of the new `codes` -> squared distances, as in `from_codes`.

        Raises:
            ValueError: no item_ids in this table, an item_id known already or repeated, codes that do not fit.
        """
        check_collisions(collisions)
        if self.item_ids is None:
            raise ValueError("this table has no item_ids, so nothing can be appended; make it with item_ids")
        codes, new_ids = np.asarray(codes), np.asarray(item_ids, dtype=np.str_)
        if codes.ndim != 2 or codes.shape[1] not in {self.id_length, max(1, self.id_length - 1)}:
            levels = f"{self.id_length} levels (one less if the last tells items apart)"
            raise ValueError(f"expected codes of {levels}, but got shape {codes.shape}")
        _check_codes(codes, self.level_sizes[: codes.shape[1]])
        _check_item_ids(new_ids, len(codes))
        known = set(self.item_ids.tolist()).intersection(new_ids.tolist())
        if known:
            raise ValueError(f"{len(known)} item_ids are in the table already (such as {min(known)!r}); leave them out")
        if collisions == "keep":
            added = np.pad(codes, ((0, 0), (0, self.id_length - codes.shape[1])))
        else:
            added = free_ids(codes, self.codes, self.level_sizes, item_ids=new_ids, distances=last_level_distances)
        item_ids = np.concatenate([self.item_ids, new_ids])
        return SemanticIDs(np.concatenate([self.codes, added.astype(np.int32)]), self.level_sizes, item_ids)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def id_length(self) -> int:
        """Number of codes of an ID, the extra one included."""
        return self.codes.shape[1]

    @cached_property
    def num_sharing(self) -> int:
        """Number of items whose ID another item has too."""
        return len(shared_rows(group_numbers(self.codes)))

    def num_moved(self, codes: Int[ndarray, "items levels"]) -> int:
        """Number of items that have other codes than these, the tokenizer's (an extra code does not count).

        Raises:
            ValueError: codes of another number of items or levels.
        """
        if len(codes) != len(self) or codes.shape[1] not in (self.id_length, self.id_length - 1):
            raise ValueError(f"expected the tokenizer's codes of a table of {self.codes.shape}, but got {codes.shape}")
        return int((self.codes[:, : codes.shape[1]] != codes).any(axis=1).sum())

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
        if self.item_ids is not None:
            arrays["item_ids"] = self.item_ids
        write_sealed_npz(Path(path), arrays)

    @classmethod
    def load(cls, path: str | Path) -> "SemanticIDs":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is missing, damaged or of another format.
        """
        try:
            arrays = read_sealed_npz(Path(path))
            if int(arrays["format"]) != FORMAT_VERSION:
                raise ValueError(f"format {int(arrays['format'])} is unknown, expected {FORMAT_VERSION}")
            sizes = tuple(int(size) for size in arrays["level_sizes"])
            return cls(arrays["codes"], sizes, arrays.get("item_ids"))
        except FileNotFoundError as error:
            raise ValueError(f"{path} is missing: expected a file of semantic IDs; make them again") from error
        except Exception as error:  # damaged bytes make zipfile and numpy raise errors of many kinds
            reason = (str(error) or repr(error)).splitlines()[0]
            raise ValueError(f"{path} is not a whole file of semantic IDs ({reason}); make them again") from error


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
