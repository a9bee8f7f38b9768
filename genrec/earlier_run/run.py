"""The run that another one goes on from, and whether that one may."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from genrec.additions.embedding import known_vectors
from genrec.additions.finished_run import FinishedRun
from genrec.additions.stored import Additions, read_additions
from genrec.artifacts import RunFolder
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig
from genrec.errors import ConfigError
from genrec.fingerprints import file_fingerprint, fingerprint, plain
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

    def vectors(self, rows: Int64[ndarray, " items"]) -> Float[ndarray, "items embedding_dim"]:
        """The embeddings of the items in these rows."""
        vectors = known_vectors(self.finished)
        if self.additions is None or self.additions.embeddings is None:
            return vectors[rows]
        is_added = rows >= self.num_trained
        found = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
        found[~is_added] = vectors[rows[~is_added]]
        found[is_added] = self.additions.embeddings[rows[is_added] - self.num_trained]
        return found


def state_of(path: str, stage: str) -> str:
    """A fingerprint of what a stage of the earlier run left, and of what was added; `ArtifactError` if it has not."""
    folder = RunFolder.open(path)
    added = file_fingerprint(folder.additions) if folder.additions.exists() else None
    return fingerprint(folder.require(stage, "going on from it").fingerprint, added)


def check_same_choices(
    path: str, *, embeddings: EmbeddingConfig, tokenizer: TokenizerConfig, generator: GeneratorOptions
) -> None:
    """`ConfigError` with all choices that make codes or weights of another form than the earlier run's."""
    earlier = FinishedRun.read(RunFolder.open(path))
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
    if (tokenizer.codes is None) != (not earlier.codes_came_from_a_file):
        wrong.append("  tokenizer.codes: a file of codes in one of them, a fitted tokenizer in the other")
    if wrong:
        raise ConfigError(
            f"earlier_run: {path} was made with other choices, and its codes and weights stay as they are; choose the "
            "same, or start anew without earlier_run:\n" + "\n".join(wrong)
        )


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    keys = {key for key in {**before, **now} if before.get(key) != now.get(key)}
    return sorted(keys - _MAY_DIFFER)
