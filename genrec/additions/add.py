"""New items into a finished run: embedded and coded by what the run was made with; nothing is fitted again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from genrec.additions.changes import Changes
from genrec.additions.coding import file_codes, tokenizer_codes
from genrec.additions.embedding import embedded_vectors, encoder_of, known_vectors
from genrec.additions.finished_run import FinishedRun
from genrec.additions.new_items import NewItems, read_new_items, vectors_from_file
from genrec.additions.stored import read_changes, write_changes
from genrec.artifacts import RunFolder
from genrec.errors import DataError
from genrec.progress import Progress, Silence
from tokenizer import Drift, SemanticIDs

FileName = str | os.PathLike[str]


@dataclass(frozen=True)
class AddedItems:
    """What was added."""

    run: Path
    item_ids: tuple[str, ...]
    """In the order of their rows."""
    put_back: tuple[str, ...]
    """Those that had been removed: they are as they were, with their old codes."""
    num_items: int
    """In stock now."""
    num_sharing: int
    """Added items that have their ID in common with another item: the generator cannot tell these apart."""
    drift: Drift | None
    """How they fare under the tokenizer; None where codes came from a file, or say nothing of an item."""

    def as_dict(self) -> dict[str, Any]:
        """All but the ids, ready for JSON."""
        return {
            "run": str(self.run),
            "added": len(self.item_ids),
            "put_back": len(self.put_back),
            "items": self.num_items,
            "sharing_ids": self.num_sharing,
            "drift": None if self.drift is None else self.drift.as_dict(),
        }


def add_items(
    run: FileName,
    items: FileName,
    *,
    vectors: FileName | None = None,
    codes: FileName | None = None,
    progress: Progress | None = None,
) -> AddedItems:
    """Give new items codes by the run's fitted tokenizer, so that it can read and recommend them from now on.

    No ID, vector or weight of the run changes: the new items go to `run/additions/`, whole or not at all. A second
    call adds to what the first one added. Items that a server has removed come back, as they were.

    Args:
        items: CSV, TSV, JSONL or Parquet with the columns that the run's own items had; or a folder of such files.
        vectors: their embeddings (.npz or .parquet with ids, or .npy in the order of `items`), for runs that were
            embedded elsewhere.
        codes: their codes, for runs whose codes came from a file.

    Raises:
        InputError: the run is not finished, its encoder is not at hand, an item is in the catalogue already, or a file
            is not as documented. Everything is left as it was.
    """
    folder, progress = RunFolder.open(run), progress or Silence()
    with folder.lock():
        finished = FinishedRun.read(folder)
        earlier = read_changes(folder, finished.semantic_ids)
        new = read_new_items(finished, Path(items), earlier)
        changes, drift = earlier.having(new.put_back), None
        if len(new.catalogue):
            changes, drift = _with_new(changes, finished, new, codes, vectors, progress)
        write_changes(folder, changes)
        num_items = len(changes.semantic_ids) - len(changes.removed)
        folder.append_log({"event": "items added", "items": len(new.ids_in_file), "catalogue": num_items})
    item_ids = tuple(new.catalogue.item_ids.tolist())
    return AddedItems(
        folder.path, item_ids, new.put_back, num_items, _num_sharing(changes.semantic_ids, len(item_ids)), drift
    )


def _with_new(
    changes: Changes,
    run: FinishedRun,
    new: NewItems,
    codes: FileName | None,
    vectors: FileName | None,
    progress: Progress,
) -> tuple[Changes, Drift | None]:
    """The changes with the new items behind all others, and how these fare under the tokenizer."""
    content = None
    if run.codes_came_from_a_file:
        coded = file_codes(run, _codes_file(run, codes, vectors), new.catalogue.item_ids)
    else:
        content = _content(run, new, codes, vectors, progress)
        first_row = len(changes.semantic_ids)
        coded = tokenizer_codes(run, content, first_row=first_row, num_items=len(new.catalogue))
    return changes.with_items(new.catalogue, content, coded, run), coded.drift


def _codes_file(run: FinishedRun, codes: FileName | None, vectors: FileName | None) -> Path:
    if codes is None or vectors is not None:
        raise DataError(
            f"the codes of {run.path} came from a file (tokenizer.codes), so there is no tokenizer: "
            "give those of the new items with --codes FILE, and no --vectors"
        )
    return Path(codes)


def _content(
    run: FinishedRun, new: NewItems, codes: FileName | None, vectors: FileName | None, progress: Progress
) -> Float[ndarray, "items embedding_dim"] | None:
    """What the tokenizer, or the map to its inputs, reads of the new items; None if that is nothing."""
    if codes is not None:
        raise DataError(f"the codes of {run.path} come from its tokenizer, and so do those of new items; drop --codes")
    if run.made_by["kind"] == "sequential":
        return None
    if vectors is not None:
        return vectors_from_file(run, Path(vectors), new, width=known_vectors(run).shape[1])
    with progress.bar("embed") as bar:
        return embedded_vectors(run, encoder_of(run), new.catalogue, bar=bar)


def _num_sharing(semantic_ids: SemanticIDs, num_new: int) -> int:
    """How many of the last rows have an ID that another row has too."""
    _, inverse, counts = np.unique(semantic_ids.codes, axis=0, return_inverse=True, return_counts=True)
    return int((counts[inverse.reshape(-1)[len(semantic_ids) - num_new :]] > 1).sum())
