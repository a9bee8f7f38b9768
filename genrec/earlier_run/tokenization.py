"""Semantic IDs of a newer catalogue: known items keep theirs, new ones get codes by the tokenizer as it was fitted."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Int64
from numpy import ndarray

from genrec.additions.coding import Coded, append_coded, file_codes, fitted_tokenizer, tokenizer_codes
from genrec.earlier_run.run import EarlierRun
from genrec.tokenization.config import TokenizerConfig
from genrec.tokenization.inputs import Collaborative
from genrec.tokenization.semantic_ids import Tokenized
from tokenizer import Drift, SemanticIDs


@dataclass(frozen=True, eq=False)
class NewerIDs:
    """The codes of a newer catalogue, and how its new items fare under them."""

    tokenized: Tokenized
    num_new: int
    drift: Drift | None
    """None without new items, or where the tokenizer reads nothing of them."""


def tokenize_newer(
    earlier: EarlierRun,
    item_ids: ndarray,
    content: Float[ndarray, "items content_dim"] | None,
    config: TokenizerConfig,
    *,
    codes: Path | None,
    scratch: Path | None = None,
) -> NewerIDs:
    """Semantic IDs of these items. No ID of a known item changes, and none that a missing one has is given again.

    Args:
        content: the items' embeddings; None where the tokenizer reads none.
        codes: the file with codes of the new items, where the earlier run's came from one.
        scratch: a folder for what the tokenizer reads where that would fill much memory.

    Raises:
        DataError: the file of codes does not fit.
        ArtifactError: a part of the earlier run is missing or damaged.
    """
    table, rows = earlier.semantic_ids, earlier.rows_of(item_ids)
    new, coded = np.flatnonzero(rows < 0), None
    if len(new):
        coded = _codes_of_new(earlier, item_ids[new], None if content is None else content[new], codes)
        rows[new] = np.arange(len(table), len(table) + len(new))
        table = append_coded(table, coded, item_ids[new], earlier.finished)
    semantic_ids = SemanticIDs(table.codes[rows], table.level_sizes, item_ids)
    tokenized = _tokenized(earlier, semantic_ids, rows, content, config, scratch)
    return NewerIDs(tokenized, len(new), None if coded is None else coded.drift)


def _codes_of_new(
    earlier: EarlierRun, item_ids: ndarray, content: Float[ndarray, "items content_dim"] | None, codes: Path | None
) -> Coded:
    if codes is not None:
        return file_codes(earlier.finished, codes, item_ids)
    first_row = len(earlier.semantic_ids)
    return tokenizer_codes(earlier.finished, content, first_row=first_row, num_items=len(item_ids))


def _tokenized(
    earlier: EarlierRun,
    semantic_ids: SemanticIDs,
    rows: Int64[ndarray, " items"],
    content: Float[ndarray, "items content_dim"] | None,
    config: TokenizerConfig,
    scratch: Path | None,
) -> Tokenized:
    """The IDs with what made them, as a stage leaves it; `rows`: as in the earlier run's table, new ones behind."""
    num_levels = earlier.finished.num_levels
    codes: Int[ndarray, "items levels"] = semantic_ids.codes[:, :num_levels]
    level_sizes = semantic_ids.level_sizes[:num_levels]
    if earlier.finished.codes_came_from_a_file:
        return Tokenized(semantic_ids, codes, level_sizes, made_by=config)
    fitted = fitted_tokenizer(earlier.finished)
    if fitted.collaborative is not None and content is not None:
        fitted = replace(fitted, collaborative=_of_newer(fitted.collaborative, rows, content))
    inputs = fitted.inputs_of_known(content, scratch=scratch)
    if inputs is not None:
        codes = fitted.tokenizer.encode(inputs)
    return Tokenized(semantic_ids, codes, level_sizes, fitted, inputs, made_by=_as_applied(config, earlier))


def _of_newer(
    collaborative: Collaborative, rows: Int64[ndarray, " items"], content: Float[ndarray, "items content_dim"]
) -> Collaborative:
    """The collaborative vectors in the order of the newer catalogue; those of items after the fit are predicted."""
    vectors, is_fitted = collaborative.content_map.predict(content), rows < len(collaborative.vectors)
    vectors[is_fitted] = collaborative.vectors[rows[is_fitted]]
    return Collaborative(vectors, collaborative.content_map)


def _as_applied(config: TokenizerConfig, earlier: EarlierRun) -> TokenizerConfig:
    """The config with the collaborative weight that the earlier run could apply."""
    weight = float(earlier.finished.made_by["collaborative_weight"])
    return config if weight == config.blended_weight else replace(config, collaborative_weight=weight)
