"""Items -> semantic IDs: by a tokenizer fitted to them, or out of a file."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from genrec.data.collaborative import NoNeighboursError, TrainingSequences, first_appearances
from genrec.errors import DataError
from genrec.tokenization.config import BLENDED_KINDS, TokenizerConfig
from genrec.tokenization.fitted import FittedTokenizer, fit_tokenizer, fitted_blend, inputs
from genrec.tokenization.inputs import Collaborative
from tokenizer import SemanticIDs
from tokenizer.code_files import read_code_file
from tokenizer.last_level import tokenizer_distances

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class KnownItems:
    """What a tokenizer may learn from: content where its kind reads it, and the training part of the sequences."""

    item_ids: ndarray
    content: Float[ndarray, "items content_dim"] | None
    sequences: TrainingSequences


@dataclass(frozen=True, eq=False)
class Tokenized:
    """What every item is called, and what made it so."""

    semantic_ids: SemanticIDs
    codes: Int[ndarray, "items levels"]
    """As the tokenizer or the file gave them, before collisions were resolved."""
    level_sizes: tuple[int, ...]
    """Of `codes`."""
    fitted: FittedTokenizer | None = None
    """None: a file of codes."""
    inputs: Float[ndarray, "items width"] | None = None
    """What the tokenizer read of each item."""
    made_by: TokenizerConfig = field(default_factory=TokenizerConfig)
    """The config as it was applied."""


def read_semantic_ids(path: Path, item_ids: ndarray, config: TokenizerConfig) -> Tokenized:
    """Ready-made codes of these items; `DataError` if the file lacks one, or is not as documented."""
    try:
        found = read_code_file(path, item_ids=item_ids)
        table = SemanticIDs.from_codes(
            found.codes, level_sizes=found.level_sizes, item_ids=found.item_ids, collisions=config.chosen_collisions
        )
    except ValueError as error:
        raise DataError(f"tokenizer.codes: {error}") from error
    return Tokenized(table, found.codes, table.level_sizes[: found.codes.shape[1]], made_by=config)


def fit_semantic_ids(
    items: KnownItems,
    config: TokenizerConfig,
    *,
    seed: int,
    scratch: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tokenized:
    """Codes of a tokenizer fitted to these items; `DataError` if it cannot be.

    `scratch`: a folder for what the tokenizer reads where that would fill much memory.
    """
    try:
        config, collaborative = _collaborative(items, config, seed=seed)
        blend = fitted_blend(items.content, collaborative, weight=config.blended_weight)
        if config.kind == "sequential":
            vectors = first_appearances(items.sequences, len(items.item_ids)).astype(np.float32)[:, None]
        else:
            assert items.content is not None
            taken_with = None if collaborative is None else collaborative.vectors
            vectors = inputs(items.content, taken_with, blend, scratch=scratch)
        tokenizer = fit_tokenizer(vectors, config, seed=seed, progress=progress)
    except ValueError as error:
        raise DataError(f"the tokenizer cannot be fitted: {error}") from error
    codes = tokenizer.encode(vectors)
    table = SemanticIDs.from_codes(
        codes,
        level_sizes=tokenizer.level_sizes,
        item_ids=items.item_ids,
        collisions=config.chosen_collisions,
        last_level_distances=tokenizer_distances(tokenizer, vectors, codes),
    )
    fitted = FittedTokenizer(tokenizer, config.kind, collaborative, blend)
    return Tokenized(table, codes, tokenizer.level_sizes, fitted, vectors, made_by=config)


def _collaborative(
    items: KnownItems, config: TokenizerConfig, *, seed: int
) -> tuple[TokenizerConfig, Collaborative | None]:
    """What the sequences say of the items, if it is read; a blend by default gives way where they are mute."""
    if not config.reads_collaborative_vectors:
        return config, None
    assert items.content is not None
    try:
        return config, Collaborative.fit(items.sequences, items.content, config.collaborative, seed=seed)
    except NoNeighboursError as error:
        if config.kind not in BLENDED_KINDS or config.collaborative_weight is not None:
            raise
        logger.warning("%s; the tokenizer reads content alone", error)
        return replace(config, collaborative_weight=0.0), None
