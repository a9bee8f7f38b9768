"""How good a set of codes is: usage, perplexity, collisions, reconstruction, categories. And an alarm on collapse."""

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.agreement import category_agreement
from tokenizer.code_usage import gini, items_per_code, items_per_prefix, perplexity, sharing_items
from tokenizer.contract import checked_codes
from tokenizer.health_figures import Health
from tokenizer.reconstruction import decoded_chunks, mean_cosine, reconstruction_quality, relative_error
from tokenizer.semantic_ids import SemanticIDs

__all__ = ["Health", "decoded_chunks", "health", "mean_cosine", "relative_error", "warn_of_collapse"]

logger = logging.getLogger(__name__)


def health(
    codes: Int[ndarray, "items levels"],
    level_sizes: Sequence[int],
    *,
    ids: SemanticIDs | None = None,
    embeddings: Float[ndarray, "embedded dim"] | None = None,
    reconstruction: Float[ndarray, "decoded dim"] | Iterable[ndarray] | None = None,
    categories: Sequence[str] | ndarray | None = None,
    learned: bool = True,
) -> Health:
    """Figures of the codes as the tokenizer gave them, without an extra code.

    Args:
        ids: the table made from the codes; says how items that collide were told apart.
        embeddings, reconstruction: input and `decode(codes)` (a table, or its chunks one after the other as
            `decoded_chunks` gives them), in the same units; both or none.
        learned: whether to judge how evenly the codes are used.
        categories: one name for each item, "" where it is unknown.

    Raises:
        ValueError: codes outside of their level, or something of another number of rows.
    """
    sizes = tuple(int(size) for size in level_sizes)
    codes = checked_codes(codes, sizes)
    if len(codes) == 0:
        raise ValueError(f"expected codes of shape (items, {len(sizes)}) with at least one item, got {codes.shape}")
    if (embeddings is None) != (reconstruction is None):
        raise ValueError("reconstruction is judged against embeddings: give both or none")
    if embeddings is not None and len(embeddings) != len(codes):
        raise ValueError(f"expected an embedding for each of the {len(codes)} items, but got {len(embeddings)}")
    error = cosine = None
    if embeddings is not None and reconstruction is not None:
        error, cosine = reconstruction_quality(embeddings, reconstruction)
    agreement = None if categories is None else category_agreement(codes[:, 0], categories)
    return Health(
        num_items=len(codes),
        level_sizes=sizes,
        **_of_levels(codes, sizes)._asdict(),
        **_of_prefixes(codes)._asdict(),
        **_of_ids(codes, ids)._asdict(),
        relative_error=error,
        cosine=cosine,
        category_agreement=agreement.normalised if agreement else None,
        category_agreement_adjusted=agreement.adjusted if agreement else None,
        learned=learned,
    )


def warn_of_collapse(codes: Int[ndarray, "items levels"], level_sizes: Sequence[int]) -> None:
    """Log a warning with a remedy if a level uses few of its codes."""
    alarm = health(codes, level_sizes).alarm
    if alarm:
        logger.warning(alarm)


class _OfLevels(NamedTuple):
    codes_used: tuple[int, ...]
    dead_codes: tuple[int, ...]
    usage: tuple[float, ...]
    perplexity: tuple[float, ...]
    gini: tuple[float, ...]


def _of_levels(codes: Int[ndarray, "items levels"], sizes: tuple[int, ...]) -> _OfLevels:
    counts = items_per_code(codes, sizes)
    used = tuple(int(np.count_nonzero(count)) for count in counts)
    return _OfLevels(
        codes_used=used,
        dead_codes=tuple(size - number for size, number in zip(sizes, used, strict=True)),
        usage=tuple(number / min(size, len(codes)) for number, size in zip(used, sizes, strict=True)),
        perplexity=tuple(perplexity(count) for count in counts),
        gini=tuple(gini(count) for count in counts),
    )


class _OfPrefixes(NamedTuple):
    distinct_prefixes: tuple[int, ...]
    prefix_collisions: tuple[float, ...]
    largest_prefix: tuple[int, ...]
    unique_share: float


def _of_prefixes(codes: Int[ndarray, "items levels"]) -> _OfPrefixes:
    prefixes = items_per_prefix(codes)
    collisions = tuple(sharing_items(items) / len(codes) for items in prefixes)
    return _OfPrefixes(
        distinct_prefixes=tuple(len(items) for items in prefixes),
        prefix_collisions=collisions,
        largest_prefix=tuple(int(items.max()) for items in prefixes),
        unique_share=1 - collisions[-1],
    )


class _OfIDs(NamedTuple):
    id_length: int | None = None
    extra_codes: int = 0
    shared_ids: int | None = None
    moved_items: int | None = None


def _of_ids(codes: Int[ndarray, "items levels"], ids: SemanticIDs | None) -> _OfIDs:
    if ids is None:
        return _OfIDs()
    if len(ids) != len(codes):
        raise ValueError(f"the table has IDs of {len(ids)} items for codes of {len(codes)}; make it from these codes")
    levels = min(ids.id_length, codes.shape[1])
    return _OfIDs(
        id_length=ids.id_length,
        extra_codes=ids.level_sizes[-1] if ids.id_length > codes.shape[1] else 0,
        shared_ids=sharing_items(items_per_prefix(ids.codes)[-1]),
        moved_items=int((ids.codes[:, :levels] != codes[:, :levels]).any(axis=1).sum()),
    )
