"""What can be done to parts: items to vectors, vectors to codes, histories to recommendations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genrec.additions.coding import fitted_tokenizer
from genrec.additions.embedding import encoder_of
from genrec.additions.finished_run import FinishedRun
from genrec.additions.new_items import read_new_items
from genrec.artifacts import RunFolder
from genrec.bulk.parts import Counts, DoPart
from genrec.data.embeddings import EmbeddingConfig, Encoder, item_texts
from genrec.data.sources import NoItemsError
from genrec.data.vector_files import read_vector_part, write_lists
from genrec.errors import DataError
from genrec.fingerprints import file_fingerprint, fingerprint
from genrec.recommendation.files import recommend_file
from genrec.tokenization.fitted import FittedTokenizer

if TYPE_CHECKING:
    from genrec.recommendation.recommender import Recommender

_SAYS_NOTHING = ("random", "sequential")  # kinds whose codes do not follow from what an item is


@dataclass(frozen=True)
class Embedding:
    """Item texts to vectors by the run's encoder: Parquet with `item_id` and `vector`."""

    run: Path

    def fingerprint(self) -> str:
        """As `Work.fingerprint`."""
        return fingerprint("embed", RunFolder.open(self.run).require("embed", "embedding items").fingerprint)

    def load(self) -> DoPart:
        """As `Work.load`."""
        run = FinishedRun.read(RunFolder.open(self.run))
        return partial(_embed, run, encoder_of(run))


@dataclass(frozen=True)
class Tokenizing:
    """Vectors to codes by the run's tokenizer: Parquet with `item_id` and `codes`, which may be those of other items.

    `tokenizer.codes` reads such folders, and resolves what collides.
    """

    run: Path

    def fingerprint(self) -> str:
        """As `Work.fingerprint`."""
        return fingerprint("tokenize", RunFolder.open(self.run).require("tokenize", "coding items").fingerprint)

    def load(self) -> DoPart:
        """As `Work.load`."""
        run = FinishedRun.read(RunFolder.open(self.run))
        kind = run.made_by.get("kind")
        if kind is None or kind in _SAYS_NOTHING:
            raise DataError(
                f"the codes of {run.path} were made by {kind or 'a file'}, which codes no items by their vectors; "
                "choose a run with another tokenizer.kind"
            )
        return partial(_tokenize, fitted_tokenizer(run))


@dataclass(frozen=True)
class Recommending:
    """Histories to lists, as `genrec recommend --histories` writes them."""

    run: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `Recommender.recommend`."""

    def fingerprint(self) -> str:
        """As `Work.fingerprint`."""
        from genrec.recommendation.loading import recommendation_config

        folder = RunFolder.open(self.run)
        trained = folder.require("train", "recommending").fingerprint
        added = file_fingerprint(folder.additions) if folder.additions.exists() else None
        return fingerprint("recommend", trained, added, recommendation_config(folder), dict(self.options))

    def load(self) -> DoPart:
        """As `Work.load`."""
        from genrec.recommendation.recommender import Recommender  # torch loads when it is needed

        return partial(_recommend, Recommender.from_pretrained(self.run), dict(self.options))


def _embed(run: FinishedRun, encoder: Encoder, source: Path, target: Path) -> Counts:
    try:
        items = read_new_items(run, source).catalogue
    except NoItemsError:
        write_lists(target, [], "vector", np.zeros((0, 0), dtype=np.float32))
        return {"items": 0}
    texts = item_texts(items, run.section("embeddings", EmbeddingConfig))
    write_lists(target, items.item_ids.tolist(), "vector", np.concatenate([*encoder.parts(texts)]))
    return {"items": len(items)}


def _tokenize(fitted: FittedTokenizer, source: Path, target: Path) -> Counts:
    item_ids, vectors = read_vector_part(source)
    if not item_ids:
        write_lists(target, [], "codes", np.zeros((0, 0), dtype=np.int64))
        return {"items": 0}
    try:
        read = fitted.inputs_of_later(vectors, first_row=0, num_items=len(item_ids))
        codes = fitted.tokenizer.encode(read)
    except ValueError as error:
        raise DataError(f"{source}: {error}") from error
    write_lists(target, item_ids, "codes", codes)
    return {"items": len(item_ids)}


def _recommend(recommender: "Recommender", options: Mapping[str, Any], source: Path, target: Path) -> Counts:
    found = recommend_file(recommender, source, target, **options)
    return {name: count for name, count in found.items() if isinstance(count, int)}
