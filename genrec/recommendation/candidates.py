"""Histories -> candidates: the beam's items with both readings of the model, and their order by one of them."""

from collections.abc import Sequence
from functools import reduce
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from genrec.recommendation.added_items import AddedItems, item_log_probs, merged, parts_of
from genrec.recommendation.diversity import Groups, within_cap
from genrec.recommendation.search import Beam, RowFilters, Search
from trie import TorchTrie

Rank = Literal["codes", "blend"]


class Candidates(NamedTuple):
    """What the beam found for each history, best codes first; -1 fills rows of users with fewer items."""

    rows: Int64[ndarray, "histories beams"]
    code_log_probs: Float32[ndarray, "histories beams"]
    """Natural log-probability of the item's semantic ID, -inf where there is no item."""
    certified: Int64[ndarray, " histories"]
    """How many at the head are proven to be the exact top by their codes."""
    item_log_probs: Float32[ndarray, "histories beams"] | None = None
    """Natural log-probability of the item by the encoder's item head alone; None: it was not asked."""
    groups: Groups | None = None
    """For the cap that a list has to hold; None: no cap."""


class Ranked(NamedTuple):
    """Items in their final order; -1 fills rows of users with fewer."""

    rows: Int64[ndarray, "histories beams"]
    scores: Float32[ndarray, "histories beams"]
    certified: Int64[ndarray, " histories"] | None
    """How many at the head are proven; None for a blend."""


Items = TypeVar("Items", Candidates, Ranked)


def find_candidates(
    search: Search,
    trie: TorchTrie,
    beam: Beam,
    *,
    filters: RowFilters | None = None,
    added: AddedItems | None = None,
    rank: Rank = "blend",
) -> Candidates:
    """As many items as the beam has leaves for every history.

    With `added` items so many are found among the others, and among these. `rank`: what they will be ranked by; for
    "codes" the item head is not asked.
    """
    with torch.inference_mode():
        parts = parts_of(search, trie, added)
        found = reduce(merged, (part.found(filters or RowFilters(), beam) for part in parts))
        by_item_head = item_log_probs(parts, found.rows) if rank == "blend" else None
    width = beam.num_leaves * len(parts)
    rows, codes = (widened(part.cpu().numpy(), width) for part in (found.rows, found.code_log_probs))
    return Candidates(
        rows,
        codes,
        found.certified.cpu().numpy(),
        None if by_item_head is None else widened(by_item_head.cpu().numpy(), width),
    )


def rank_candidates(candidates: Candidates, *, rank: Rank, blend_weight: float) -> Ranked:
    """The candidates by one reading, best first, without those that their cap leaves out.

    "codes": the log-probability of the semantic ID. "blend": (1 - w) * codes + w * item head, normalised so that the
    probabilities of a user's candidates sum to 1. Equal scores keep the beam's order.
    """
    is_blend = rank == "blend"
    scores = blend(candidates, blend_weight) if is_blend else candidates.code_log_probs
    ranked = Ranked(candidates.rows, scores, None if is_blend else candidates.certified)
    if candidates.groups is not None:
        ranked = _only(ranked, within_cap(scores, candidates.groups))
    return _best_first(ranked) if is_blend else ranked


def blend(candidates: Candidates, weight: float) -> Float32[ndarray, "histories beams"]:
    """Log-probabilities over each user's candidates; -inf where there is no item."""
    if candidates.item_log_probs is None:
        raise ValueError("a blend needs what the item head says; find the candidates with rank='blend'")
    present = candidates.rows >= 0
    codes = np.where(present, candidates.code_log_probs, 0)
    mixed = (1 - weight) * codes + weight * np.where(present, candidates.item_log_probs, 0)
    mixed = np.where(present, mixed, -np.inf)
    highest = np.max(mixed, axis=1, keepdims=True, initial=-np.inf)
    highest = np.where(np.isfinite(highest), highest, 0)
    total = np.exp(mixed - highest).sum(1, keepdims=True)
    return (mixed - highest - np.log(np.where(total > 0, total, 1))).astype(np.float32)


def stacked(parts: Sequence[Items]) -> Items:
    """What was found for several groups of histories as for one; equally wide, and without a cap yet."""
    arrays = (None if each[0] is None else np.concatenate(each) for each in zip(*parts, strict=True))
    return type(parts[0])._make(arrays)


def _only(ranked: Ranked, kept: Bool[ndarray, "histories beams"]) -> Ranked:
    """The items that are kept, in their order."""
    order = np.argsort(~kept, axis=1, kind="stable")
    rows = np.take_along_axis(np.where(kept, ranked.rows, -1), order, 1)
    scores = np.take_along_axis(np.where(kept, ranked.scores, -np.inf), order, 1).astype(np.float32)
    if ranked.certified is None:
        return Ranked(rows, scores, None)
    is_certified = np.arange(kept.shape[1]) < ranked.certified[:, None]
    return Ranked(rows, scores, (kept & is_certified).sum(1))


def _best_first(ranked: Ranked) -> Ranked:
    order = np.argsort(-ranked.scores, axis=1, kind="stable")
    rows, scores = (np.take_along_axis(part, order, 1) for part in ranked[:2])
    return Ranked(rows, scores, ranked.certified)


def widened(part: ndarray, width: int) -> ndarray:
    """Lists from a catalogue smaller than the beam, filled up to its width, so that batches can be stacked."""
    if part.shape[1] >= width:
        return part
    empty = -1 if part.dtype.kind == "i" else -np.inf
    return np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=empty)
