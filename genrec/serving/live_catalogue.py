"""The catalogue of a served run: it changes, on disk and for all who ask, while searches go on."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import NamedTuple

from genrec.additions.changes import Changes
from genrec.additions.coder import Coder, GivenItem, changed_field, check_fields
from genrec.additions.finished_run import FinishedRun
from genrec.additions.stored import read_manifest, write_changes
from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError, RunInUseError
from genrec.recommendation.loading import load_run
from genrec.recommendation.recommender import Recommender
from genrec.recommendation.requests import rows_of
from genrec.serving.engine import Engine

LOCK_SECONDS, _LOCK_POLL_SECONDS = 2.0, 0.05
_log = logging.getLogger(__name__)


class ConflictError(Exception):
    """A change that the catalogue, as it is, does not allow."""


class Changed(NamedTuple):
    """What a change has left."""

    version: int
    num_stocked: int
    """Items that are recommended."""


class Inserted(NamedTuple):
    """What came of the items of one call."""

    added: list[str]
    put_back: list[str]
    """Those that had been removed."""
    changed: Changed


class LiveCatalogue:
    """Changes one at a time, from any thread; `engine` answers by the newest version, and searches never wait.

    A change holds the run's lock, is written like that of `genrec add-items` before anybody sees it, and outlives the
    server. What another process has changed meanwhile is read first. Versions rise by one with each change.

    One insert costs the codes of its items; a part on disk with these, and with earlier ones only if these are no
    more; and in memory a new trie of the added items, and lists and a table of IDs as long as the catalogue. With
    10,000 items that is 70 ms of one core and some ten waits for the disk, with a million about 2 s, for one item as
    for a hundred: so let several go together. The first one also loads the encoder and the tokenizer, and TF-IDF
    learns its words again. A removal costs 5 ms. On a GPU a version captures graphs of its own before it is seen.
    """

    def __init__(self, folder: RunFolder, *, device: str, max_batch: int) -> None:
        """Load the run. `ArtifactError` if it is not whole."""
        self.folder = folder
        self.device = device
        self.max_batch = max_batch
        self._lock = threading.Lock()
        self._refused: object = None
        """The state of the run on disk that `follow` could not read."""
        self._made = self._stages()
        recommender, self._changes = load_run(folder, device=device)
        self._coder: Coder | None = None
        self.engine = Engine(recommender)

    def insert(self, items: Sequence[GivenItem]) -> Inserted:
        """Take these items on, all or none; those that were removed come back as they were, with their old codes.

        Raises:
            ConflictError: an item is in stock already, or was removed and had other fields.
            DataError: an item cannot be coded as it is given.
            RunInUseError: another process writes the run.
            ArtifactError: the run on disk is not whole any more, or a part that codes items is missing.
        """
        with self._held():
            recommender, changes = self.engine.recommender, self._changes
            row_of = recommender.catalogue.row_of
            new = [item for item in items if item.item_id not in row_of]
            back = [item for item in items if item.item_id in row_of]
            _check_removed(back, recommender)
            if new:
                changes = self._loaded_coder().added(new, changes)
                assert changes.additions is not None
                part = changes.additions.parts[-1]
                recommender = recommender.with_items(part.catalogue, part.semantic_ids.codes)
            if back:
                ids = [item.item_id for item in back]
                changes, recommender = changes.having(ids), recommender.having(ids)
            changed = self._publish(changes, recommender, {"event": "items inserted", "items": len(items)})
            return Inserted([item.item_id for item in new], [item.item_id for item in back], changed)

    def remove(self, item_id: str) -> Changed:
        """Never recommend an item again, until it is inserted; it is still read in histories.

        An item that is removed already stays so, and the version with it.

        Raises:
            UnknownItemError: the catalogue does not have it.
            ConflictError: it is the last one in stock.
            RunInUseError, ArtifactError: as `insert`.
        """
        with self._held():
            recommender = self.engine.recommender
            row = int(rows_of([item_id], recommender.catalogue)[0])
            if not recommender.stocked[row]:
                return _changed(recommender)
            try:
                left = recommender.without([item_id])
            except ValueError as error:
                raise ConflictError(f"{item_id!r} is the last item in stock; insert another one first") from error
            return self._publish(self._changes.without([item_id]), left, {"event": "item removed"})

    def reload(self) -> Changed:
        """Read everything anew, such as a newer training of the run; it is warm before anybody is answered by it.

        Raises:
            ArtifactError: the run is not whole, or its parts do not belong together; the old one goes on.
        """
        with self._lock:
            return self._read_anew()

    def follow(self) -> bool:
        """Read everything anew if another process has changed it; whether it has.

        What is being made, or is refused, is waited for: the old one goes on, and the log says so once.
        """
        with self._lock:
            state = self._state()
            if state in ((self._changes.manifest, self._made), self._refused) or b"" in self._stages():
                return False
            try:
                self._read_anew()
            except ArtifactError:
                self._refused = state
                return False
            return True

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Holds the run for writing; what others have changed since it was read is read anew before."""
        with self._lock, _locked(self.folder):
            if self._state() != (self._changes.manifest, self._made):
                self._read_anew()
            yield

    def _read_anew(self) -> Changed:
        made = self._stages()
        try:
            loaded = load_run(self.folder, device=self.device)
            recommender = replace(loaded.recommender, version=self.engine.recommender.version + 1)
            self.engine.warm_up(recommender, max_batch=self.max_batch)
        except Exception as error:
            told = f"{self.folder.path} on disk is refused, and the one that is served goes on: {error}"
            _log.warning(told)
            raise ArtifactError(told) from error
        self._made, self._changes, self._coder = made, loaded.changes, None
        self.engine.recommender = recommender
        return _changed(recommender)

    def _loaded_coder(self) -> Coder:
        if self._coder is None:
            self._coder = Coder(FinishedRun.read(self.folder))
        return self._coder

    def _publish(self, changes: Changes, recommender: Recommender, event: dict[str, object]) -> Changed:
        """First on disk, then for all who ask."""
        recommender = replace(recommender, version=self.engine.recommender.version + 1)
        if recommender.trie.device.type == "cuda":  # there a version has graphs of its own
            self.engine.warm_up(recommender, max_batch=self.max_batch)
        changed, _ = _changed(recommender), recommender.catalogue.row_of  # made here, so that no call waits for them
        self._changes = write_changes(self.folder, changes)
        self.engine.recommender = recommender
        self.folder.append_log({**event, "catalogue": changed.num_stocked})
        return changed

    def _state(self) -> tuple[object, object]:
        """Another one where somebody has changed the run on disk."""
        return read_manifest(self.folder), self._stages()

    def _stages(self) -> tuple[bytes, ...]:
        """The records of its codes and its training; empty where one is being made."""
        paths = [self.folder.stages / f"{stage}.json" for stage in ("tokenize", "train")]
        return tuple(path.read_bytes() if path.exists() else b"" for path in paths)


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    """Holds the run's lock; another process is waited for a little while. `RunInUseError` if it takes longer."""
    until, is_held = time.monotonic() + LOCK_SECONDS, False
    with ExitStack() as held:
        while not is_held:
            try:
                held.enter_context(folder.lock())
                is_held = True
            except RunInUseError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOCK_POLL_SECONDS)
        yield


def _check_removed(items: Sequence[GivenItem], recommender: Recommender) -> None:
    """`ConflictError` unless these items of the catalogue were removed, and come back with the fields they had."""
    catalogue = recommender.catalogue
    for item in items:
        row = catalogue.row_of[item.item_id]
        if recommender.stocked[row]:
            raise ConflictError(f"item {item.item_id!r} is in the catalogue already; remove it first, or leave it out")
        check_fields(item.fields, catalogue.fields)
        other = changed_field(item.fields, catalogue, row)
        if other is not None:
            raise ConflictError(
                f"item {item.item_id!r} was removed, and comes back as it was: its codes follow from its fields, and "
                f"{other!r} is another one now; leave the fields out, or give it a new item_id"
            )


def _changed(recommender: Recommender) -> Changed:
    return Changed(recommender.version, int(recommender.stocked.sum()))
