"""Prepared sequences on disk, read a few row groups at a time: what is larger than memory trains all the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from jaxtyping import Float32, Int, Int32, Int64, Shaped
from numpy import ndarray

from genrec.data.batches import StepWindows, Windows
from genrec.data.catalogue import text_array
from genrec.data.epochs import HeldWindows, block_steps, shares
from genrec.data.interactions import Interactions
from genrec.data.sources.rows import open_database, quoted_path
from genrec.data.splits import Cases, sampled_numbers
from genrec.errors import ArtifactError

_INTERACTIONS_PER_BLOCK = 4_000_000
_USERS_PER_SCAN = 1_000_000
_ORDER_OF_GROUPS = 1 << 31  # no block has this number, so that no block shuffles by the same chance
_VALIDATED = "num_validation > 0 AND num_train > 0"
_TESTED = "len(item_rows) > num_train + num_validation AND num_train + num_validation > 0"

MakeWindows = Callable[[Int[ndarray, " users"], Int[ndarray, " users"]], Windows]
"""Begins and ends of training parts -> their windows; how many a user has follows from the length of the part."""


class TrainingParts(NamedTuple):
    """What some users train on."""

    users: Int64[ndarray, " users"]
    """By their row in the file."""
    lengths: Int64[ndarray, " users"]
    items: Int32[ndarray, " interactions"]


class ValidationSample(NamedTuple):
    """Some users up to the item that validates, and their cases."""

    interactions: Interactions
    cases: Cases


class CaseCounts(NamedTuple):
    """How many users have an item to be asked for, with a history before it."""

    validation: int
    test: int


def count_cases(path: Path) -> CaseCounts:
    """Of the sequences in a file; `ArtifactError` if it is missing or damaged."""
    counts = f"SELECT count_if({_VALIDATED}) AS validated, count_if({_TESTED}) AS tested"
    found = _columns(path, f"{counts} FROM read_parquet({quoted_path(path)})")
    return CaseCounts(int(found["validated"][0]), int(found["tested"][0]))


class SequenceFile:
    """The sequences of a run, one row a user, as `write_prepared` leaves them; only row groups in use are in memory.

    `item_ids` are those of the catalogue beside it.

    Raises:
        ArtifactError: the file is missing or damaged; its methods raise it too.
    """

    def __init__(self, path: Path, item_ids: Shaped[ndarray, " items"]) -> None:
        self.path = path
        self.item_ids = item_ids
        groups = "SELECT DISTINCT row_group_id AS number, row_group_num_rows AS users"
        found = self._read(f"{groups} FROM parquet_metadata({quoted_path(path)}) ORDER BY number")
        self._ends = np.cumsum(found["users"].astype(np.int64))

    @property
    def num_groups(self) -> int:
        """How many row groups it has."""
        return len(self._ends)

    def training_parts(self, groups: Sequence[int]) -> TrainingParts:
        """Of all users of these row groups, group by group."""
        read = [self._training_part(group) for group in groups]
        return TrainingParts(*(np.concatenate(columns) for columns in zip(*read, strict=True)))

    def training_lengths(self) -> Iterator[Int64[ndarray, " users"]]:
        """How long every user's training part is, row group by row group."""
        for first, last in self._stretches():
            found = self._read(f"SELECT num_train FROM {self._rows(first, last)}")
            yield from np.split(found["num_train"].astype(np.int64), self._ends[first : last - 1] - self._begin(first))

    def validation_sample(self, *, at_most: int, seed: int) -> ValidationSample:
        """The validation cases, or a seeded sample of them in their order, with their histories."""
        chosen = sampled_numbers(count_cases(self.path).validation, at_most=at_most, seed=seed)
        before, read = 0, []
        for first, last in self._stretches():
            rows = self._rows(first, last)
            query = f"SELECT file_row_number AS user FROM {rows} AND {_VALIDATED} ORDER BY user"
            users = self._read(query)["user"]
            mine = chosen[(chosen >= before) & (chosen < before + len(users))] - before
            before += len(users)
            read.append(self._until_validation(rows, users[mine]))
        user_ids, lengths, items = (np.concatenate(columns) for columns in zip(*read, strict=True))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        interactions = Interactions(text_array(user_ids.tolist()), self.item_ids, offsets, items)
        return ValidationSample(interactions, Cases(np.arange(len(user_ids)), offsets[1:] - 1))

    def _training_part(self, group: int) -> TrainingParts:
        rows = self._rows(group, group + 1)
        lengths = self._read(f"SELECT num_train FROM {rows}")["num_train"].astype(np.int64)
        items = self._items(f"SELECT unnest(item_rows[:num_train]) AS item FROM {rows}")
        return TrainingParts(np.arange(self._begin(group), self._ends[group]), lengths, items)

    def _until_validation(
        self, rows: str, users: Int[ndarray, " users"]
    ) -> tuple[Shaped[ndarray, " users"], Int64[ndarray, " users"], Int32[ndarray, " interactions"]]:
        """Names, lengths and items of what some users of these rows have up to the item that validates."""
        chosen = f"FROM {rows} AND file_row_number IN (SELECT unnest(?))"
        listed = [users.tolist()]
        found = self._read(f"SELECT user_id, num_train + 1 AS length {chosen} ORDER BY file_row_number", listed)
        read = "SELECT file_row_number AS user, unnest(item_rows[:num_train + 1]) AS item, "
        place = "unnest(range(num_train + 1)) AS place"
        items = self._items(f"SELECT item FROM ({read}{place} {chosen}) ORDER BY user, place", listed)
        return found["user_id"], found["length"].astype(np.int64), items

    def _items(self, query: str, values: Sequence[Any] = ()) -> Int32[ndarray, " interactions"]:
        items = np.asarray(self._read(query, values)["item"], dtype=np.int32)
        if len(items) and not 0 <= int(items.min()) <= int(items.max()) < len(self.item_ids):
            raise ArtifactError(
                f"{self.path} is damaged: expected items in 0..{len(self.item_ids) - 1}, got {int(items.min())}.."
                f"{int(items.max())}. Make it anew with `genrec prepare`"
            )
        return items

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """Row groups [first, last) of about a million users together, one stretch after the other."""
        first = 0
        while first < self.num_groups:
            last = int(np.searchsorted(self._ends, self._begin(first) + _USERS_PER_SCAN, side="right"))
            yield first, max(last, first + 1)
            first = max(last, first + 1)

    def _begin(self, group: int) -> int:
        return int(self._ends[group - 1]) if group else 0

    def _rows(self, first: int, last: int) -> str:
        """SQL: the row groups [first, last); no other is read."""
        source = f"read_parquet({quoted_path(self.path)}, file_row_number = true)"
        return f"{source} WHERE file_row_number >= {self._begin(first)} AND file_row_number < {self._ends[last - 1]}"

    def _read(self, query: str, values: Sequence[Any] = ()) -> dict[str, ndarray]:
        return _columns(self.path, query, values)


class StoredWindows:
    """Training data of any size: every epoch reads the row groups in an order of its own, a block of them at a time."""

    def __init__(
        self, file: SequenceFile, make: MakeWindows, *, interactions_per_block: int = _INTERACTIONS_PER_BLOCK
    ) -> None:
        self._file = file
        self._make = make
        counts = [(len(make(np.zeros_like(part), part).begin), part.sum()) for part in file.training_lengths()]
        windows, interactions = np.array(counts, dtype=np.int64).reshape(-1, 2).T
        self._windows_of_group = windows
        per_group = max(int(interactions.mean()), 1) if len(interactions) else 1
        self._groups_per_block = max(interactions_per_block // per_group, 1)

    @property
    def num_windows(self) -> int:
        """As `TrainingData.num_windows`."""
        return int(self._windows_of_group.sum())

    def steps(self, *, batch_size: int, seed: int, epoch: int, first: int = 0) -> Iterator[StepWindows]:
        """As `TrainingData.steps`."""
        blocks = self._blocks(seed, epoch)
        sizes = [int(self._windows_of_group[groups].sum()) for groups in blocks.groups]
        return block_steps(blocks, batch_size=batch_size, seed=seed, epoch=epoch, first=first, sizes=sizes)

    def target_shares(self, num_items: int) -> Float32[ndarray, " items"]:
        """As `TrainingData.target_shares`; reads everything once."""
        blocks = self._blocks(seed=0, epoch=0)
        counts = np.zeros(num_items, dtype=np.int64)
        for number in range(len(blocks)):
            counts += blocks[number].target_counts(num_items)
        return shares(counts)

    def _blocks(self, seed: int, epoch: int) -> "_StoredBlocks":
        """The row groups of each block; data of one block keeps the order of the file."""
        num_groups, size = self._file.num_groups, self._groups_per_block
        order = np.arange(num_groups)
        if num_groups > size:
            order = np.random.default_rng((seed, epoch, _ORDER_OF_GROUPS)).permutation(num_groups)
        groups = [order[start : start + size] for start in range(0, num_groups, size)]
        return _StoredBlocks(self._file, self._make, groups)


@dataclass(frozen=True)
class _StoredBlocks:
    """The blocks of one epoch."""

    file: SequenceFile
    make: MakeWindows
    groups: list[Int64[ndarray, " _"]]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> HeldWindows:
        parts = self.file.training_parts(self.groups[number].tolist())
        ends = np.cumsum(parts.lengths)
        windows = self.make(ends - parts.lengths, ends)
        return HeldWindows(parts.items, windows._replace(users=parts.users[windows.users]))


def _columns(path: Path, query: str, values: Sequence[Any] = ()) -> dict[str, ndarray]:
    """What a query on the file finds."""
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; make it with `genrec prepare`")
    try:
        with open_database() as database:
            return database.execute(query, values).fetchnumpy()
    except duckdb.Error as error:
        raise ArtifactError(f"{path} is damaged: {error}. Make it anew with `genrec prepare`") from error
