"""The run that another one goes on from, and whether that one may."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy import ndarray

from genrec.additions.changes import Additions
from genrec.additions.embedding import known_vectors
from genrec.additions.finished_run import FinishedRun
from genrec.additions.stored import fingerprint_of_items, read_additions
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json, read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig
from genrec.data.sources import DataConfig
from genrec.errors import ArtifactError, ConfigError
from genrec.fingerprints import fingerprint, plain
from genrec.generator.config import GeneratorOptions
from genrec.tokenization.config import TokenizerConfig
from tokenizer import SemanticIDs

_MAY_DIFFER = frozenset({"file", "batch_size", "devices", "codes", "dropout"})
"""Keys that change neither what a known item is called nor the form of the weights."""


@dataclass(frozen=True, eq=False)
class EarlierRun:
    """A trained run, and the items that were added to it since then."""

    finished: FinishedRun
    additions: Additions | None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "EarlierRun":
        """The run in this folder. `ArtifactError` if it is not trained, or damaged."""
        folder = RunFolder.open(path)
        folder.require("train", "going on from it")
        finished = FinishedRun.read(folder)
        return cls(finished, read_additions(folder, finished.semantic_ids))

    @cached_property
    def semantic_ids(self) -> SemanticIDs:
        """Of its own items, then of the added ones."""
        return self.finished.semantic_ids if self.additions is None else self.additions.semantic_ids

    @property
    def num_trained(self) -> int:
        """Its own items come first: those that were there when it was trained."""
        return len(self.finished.semantic_ids)

    def rows_of(self, item_ids: ndarray) -> Int64[ndarray, " items"]:
        """Where each of these items stands in its table of semantic IDs; -1 for those that it does not know."""
        assert self.semantic_ids.item_ids is not None
        row_of = {item_id: row for row, item_id in enumerate(self.semantic_ids.item_ids.tolist())}
        return np.array([row_of.get(item_id, -1) for item_id in item_ids.tolist()], dtype=np.int64)

    def catalogue(self) -> Catalogue:
        """The items of the table, in its order."""
        own = self.finished.catalogue
        return own if self.additions is None else own.with_items(self.additions.catalogue)

    def has_vectors(self, rows: Int64[ndarray, " items"]) -> Bool[ndarray, " items"]:
        """Which of these rows were embedded; -1 was not, nor were added items whose codes ask for no vectors."""
        num_embedded = self.num_trained
        if self.additions is not None and self.additions.embeddings is not None:
            num_embedded += len(self.additions.embeddings)
        return (rows >= 0) & (rows < num_embedded)

    def vectors(self, rows: Int64[ndarray, " items"]) -> Float[ndarray, "items embedding_dim"]:
        """The embeddings of the items in these rows, which have some."""
        vectors = known_vectors(self.finished)
        if self.additions is None or self.additions.embeddings is None:
            return vectors[rows]
        is_added = rows >= self.num_trained
        found = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
        found[~is_added] = vectors[rows[~is_added]]
        found[is_added] = self.additions.embeddings[rows[is_added] - self.num_trained]
        return found


def earlier_state(run: RunFolder, path: str, stage: str) -> str:
    """A fingerprint of what a stage of the earlier run left, and of what was added to that run.

    The run remembers it in `earlier_run.json`, so that its later stages do without a run that is gone by then.
    `ArtifactError` if it is gone and not remembered, or has not come so far.
    """
    memory = run.path / "earlier_run.json"
    remembered = read_json(memory) if memory.exists() else {}
    key = f"{stage} of {path}"
    if not Path(path).exists() and key in remembered:
        return str(remembered[key])
    try:
        folder = RunFolder.open(path)
        done = folder.require(stage, "going on from it").fingerprint
    except ArtifactError as error:
        raise ArtifactError(f"earlier_run: {error}") from error
    state = fingerprint(done, fingerprint_of_items(folder))
    if remembered.get(key) != state:
        atomic_json(memory, {**remembered, key: state})
    return state


def check_same_choices(
    path: str, *, data: DataConfig, embeddings: EmbeddingConfig, tokenizer: TokenizerConfig, generator: GeneratorOptions
) -> None:
    """`ConfigError` with all choices that make codes or weights of another form than the earlier run's.

    Or a split by which the earlier run has learned from what is validation or test now.
    """
    earlier = FinishedRun.read(RunFolder.open(path))
    _check_nothing_leaks(path, earlier.section("data", DataConfig), data)
    choices = {
        "embeddings": (plain(earlier.section("embeddings", EmbeddingConfig)), plain(embeddings)),
        "tokenizer": (plain(earlier.section("tokenizer", TokenizerConfig).used()), plain(tokenizer.used())),
        "generator": (plain(earlier.section("generator", GeneratorOptions)), plain(generator)),
    }
    wrong = [
        f"  {section}.{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for section, (before, now) in choices.items()
        for key in _differing(before, now)
    ]
    if (earlier.section("embeddings", EmbeddingConfig).file is None) != (embeddings.file is None):
        wrong.append("  embeddings.file: vectors out of a file in one of them, an encoder in the other")
    if (tokenizer.codes is None) != (not earlier.codes_came_from_a_file):
        wrong.append("  tokenizer.codes: a file of codes in one of them, a fitted tokenizer in the other")
    if wrong:
        raise ConfigError(
            f"earlier_run: {path} was made with other choices, and its codes and weights stay as they are; choose the "
            "same, or start anew without earlier_run:\n" + "\n".join(wrong)
        )


def _check_nothing_leaks(path: str, before: DataConfig, now: DataConfig) -> None:
    if before.split != now.split:
        raise ConfigError(
            f"earlier_run: {path} was split by {before.split}, this run by {now.split}, so the weights would know a "
            f"part of its validation and test; choose data.split: {before.split}"
        )
    if now.split == "global_time":
        assert before.validation_from_unix_s is not None and now.validation_from_unix_s is not None
        if now.validation_from_unix_s < before.validation_from_unix_s:
            raise ConfigError(
                f"earlier_run: {path} was trained on everything before {before.validation_from_unix_s}, and the "
                f"validation begins at {now.validation_from_unix_s}; choose data.validation_from_unix_s no earlier"
            )


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    keys = {key for key in {**before, **now} if before.get(key) != now.get(key)}
    return sorted(keys - _MAY_DIFFER)
