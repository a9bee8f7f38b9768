"""A catalogue that changes while it is read: versions that never change, one after the other.

A reader takes `VersionedTrie.current` once a request, without a lock, and decodes on its view; whatever happens
meanwhile, the answer is right for that version. A delete copies the bitmap of the rows in stock and is visible when
the call returns. An insert is visible once the next trie is built in the background; the inserts that wait while one
is built go together into the one after it, which leaves out the deleted rows for good.
"""

import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int32, Int64, Integer
from numpy import ndarray

from trie.bitmap import Bitmap
from trie.build import checked_level_sizes, checked_rows
from trie.files import TrieFileError
from trie.prefix_trie import PrefixTrie
from trie.rebuild import check_stops, rebuilt
from trie.row_sets import Rows
from trie.trie_version import TrieVersion
from trie.version_files import SavedVersion, read_version, write_version

_NO_ROWS = np.empty(0, dtype=np.int64)


class Insertion(NamedTuple):
    """What was asked for by one `insert`."""

    rows: Int32[ndarray, " rows"]
    """The new rows' numbers."""
    version: "Future[TrieVersion]"
    """The first version that has the rows, less those that were deleted meanwhile; it cannot be cancelled.

    Where the build failed: its error. Then none of the rows ever appears, and their numbers stay unused.
    """


class VersionedTrie:
    """A catalogue that takes inserts and deletes from any thread, and hands out its current version.

    Row numbers are never given twice. A deleted row stays a valid number for allow and deny lists, and so does an
    inserted one from the version on that has it.

    Builds run in one daemon thread, which ends when nothing waits: leaving the interpreter abandons a build that
    runs, so call `close`, or use this as a context manager, to wait for it.
    """

    def __init__(self, trie: PrefixTrie, *, device: str | torch.device = "cpu"):
        """Version 1: all rows of a trie. Its `level_sizes` bound the codes of later rows."""
        self._current = TrieVersion(1, trie.to(device))
        self._next_row = trie.num_row_slots
        self._lock = threading.Lock()
        """Held to read or write what stands below, and to publish a version; never while one is built."""
        self._waiting: list[_Waiting] = []
        self._deleted_meanwhile: Int64[ndarray, " _"] = _NO_ROWS
        """Rows that may be in the trie that is being built, or among those that wait."""
        self._builder: threading.Thread | None = None
        self._is_building = False
        self._is_closed = False

    @property
    def current(self) -> TrieVersion:
        """The newest version. Take it once for everything that must fit together."""
        return self._current

    def insert(
        self, codes: Integer[ndarray, "rows length"], *, rows: Integer[ndarray, " rows"] | None = None
    ) -> Insertion:
        """Add rows; they are visible when the returned `version` is done. Equal codes share a leaf.

        `codes`: within the trie's `level_sizes`; an ID that ends early is filled with stops, as the trie has it.
        `rows`: numbers of one's own, ascending, higher than all that were ever given; default: the next ones.
        ValueError where codes or numbers break these rules; then nothing is inserted. RuntimeError after `close`.
        """
        trie = self._current.view.trie
        checked_level_sizes(codes, trie.level_sizes)
        if trie.has_stop:
            check_stops(codes, trie.level_sizes)
        codes = codes.astype(np.int32)  # and a copy: the caller may write into theirs
        with self._lock:
            self._check_open()
            first = self._next_row
            numbers = checked_rows(np.arange(first, first + len(codes)) if rows is None else rows, len(codes))
            if numbers[0] < first:
                raise ValueError(f"row numbers must be {first} or higher, since none is given twice; got {numbers[0]}")
            self._start_builder()
            insertion = Insertion(numbers, Future())
            insertion.version.set_running_or_notify_cancel()
            self._waiting.append(_Waiting(codes, insertion))
            self._next_row = int(numbers[-1]) + 1
        return insertion

    def delete(self, rows: Rows) -> TrieVersion:
        """Remove rows; returns the version that lacks them, which is current by then, as do all that follow.

        Rows that wait to be inserted never appear; rows that are gone already are no error. ValueError where a number
        was never given; then nothing is deleted. The last row may be deleted: then decoding finds nothing.
        RuntimeError after `close`.
        """
        gone = np.unique(np.asarray(rows, dtype=np.int64))
        with self._lock:
            self._check_open()
            if len(gone) and not 0 <= gone[0] <= gone[-1] < self._next_row:
                unknown = gone[0] if gone[0] < 0 else gone[-1]
                raise ValueError(f"row {unknown} is unknown: the numbers given so far are 0..{self._next_row - 1}")
            version = self._current.without(gone)
            if self._is_building:
                self._deleted_meanwhile = np.append(self._deleted_meanwhile, gone)
            self._current = version
        return version

    def close(self) -> None:
        """Take no more changes, and wait until those that wait are visible. What was handed out stays readable."""
        with self._lock:
            self._is_closed = True
            builder = self._builder
        if builder is not None:
            builder.join()

    def save(self, folder: str | Path) -> TrieVersion:
        """Write the current version, which is returned, without the inserts that wait; replaces an older one there."""
        with self._lock:
            version, next_row = self._current, self._next_row
        stock = version.stock.words.cpu().numpy()
        write_version(Path(folder), SavedVersion(version.view.trie, version.number, next_row, stock))
        return version

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str | torch.device = "cpu", mmap: bool = True, verify: bool = True
    ) -> "VersionedTrie":
        """The version that `save` wrote, under its number; row numbers go on where they were. See `PrefixTrie.load`."""
        saved = read_version(Path(folder), mmap=mmap, verify=verify)
        loaded = cls(saved.trie, device=device)
        view = loaded._current.view
        if len(saved.stock) != len(loaded._current.stock.words):
            raise TrieFileError(f"{folder}: the trie and its stock are not of one save; save the catalogue again")
        stock = Bitmap.from_words(torch.from_numpy(saved.stock).to(view.device), saved.trie.num_rows)
        if stock.num_allowed < saved.trie.num_rows:
            view = view.with_stock(stock)
        loaded._current, loaded._next_row = TrieVersion(saved.number, view), saved.next_row
        return loaded

    def __enter__(self) -> "VersionedTrie":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the catalogue is closed; it takes no more changes")

    def _start_builder(self) -> None:
        if not self._is_building:
            self._builder = threading.Thread(target=self._build_waiting, name="trie-builder", daemon=True)
            self._builder.start()
            self._is_building = True

    def _build_waiting(self) -> None:
        """What the thread does: one build after the other, each of all that waits."""
        while True:
            with self._lock:
                base, waiting, self._waiting = self._current, self._waiting, []
                deleted, self._deleted_meanwhile = self._deleted_meanwhile, _NO_ROWS
                if not waiting:
                    self._is_building = False
                    return
            try:
                version = self._build(base, waiting, deleted)
            except BaseException as error:  # whatever it is, it belongs to those who wait
                for one in waiting:
                    one.insertion.version.set_exception(error)
            else:
                for one in waiting:
                    one.insertion.version.set_result(version)

    def _build(self, base: TrieVersion, waiting: "list[_Waiting]", deleted: Int64[ndarray, " _"]) -> TrieVersion:
        """Publish the version of the rows that `base` has and those that waited."""
        rows = np.concatenate([one.insertion.rows for one in waiting])
        left = ~np.isin(rows, deleted)
        if not left.any():
            return base
        codes = np.concatenate([one.codes for one in waiting])[left]
        trie = rebuilt(base.view, codes, rows[left], num_row_slots=int(rows[-1]) + 1)
        view = trie.to(base.view.device)
        with self._lock:
            number = self._current.number
            version = TrieVersion(number, view).without(self._deleted_meanwhile)
            self._current = version = replace(version, number=number + 1)
        return version


class _Waiting(NamedTuple):
    codes: Int32[ndarray, "rows length"]
    insertion: Insertion
