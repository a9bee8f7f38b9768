"""Histories -> candidates: the beam's items with both readings of the model, and their order by one of them."""

from functools import reduce
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray

from genrec.recommendation.added_items import AddedItems, merged, parts_of
from genrec.recommendation.search import RowFilters, Search
from trie import TorchTrie

Rank = Literal["codes", "blend"]


class Candidates(NamedTuple):
    """What the beam found for each history, best codes first; -1 fills rows of users with fewer items."""

    rows: Int64[ndarray, "histories beams"]
    code_log_probs: Float32[ndarray, "histories beams"]
    """Natural log-probability of the item's semantic ID, -inf where there is no item."""
    item_log_probs: Float32[ndarray, "histories beams"]
    """Natural log-probability of the item by the encoder's item head alone."""
    certified: Int64[ndarray, " histories"]
    """How many at the head are proven to be the exact top by their codes."""


class Ranked(NamedTuple):
    """Candidates in their final order."""

    rows: Int64[ndarray, "histories beams"]
    scores: Float32[ndarray, "histories beams"]


def find_candidates(
    search: Search, trie: TorchTrie, *, filters: RowFilters | None = None, added: AddedItems | None = None
) -> Candidates:
    """As many items as the beam is wide for every history.

    With `added` items so many are found among the others, and among these.
    """
    with torch.inference_mode():
        parts = parts_of(search, trie, added)
        found = reduce(merged, (part.found(filters or RowFilters()) for part in parts))
    width = search.beam_size * len(parts)
    return Candidates(*(_widened(part.cpu().numpy(), width) for part in (*found[:3], found.certified)))


def rank_candidates(candidates: Candidates, *, rank: Rank, blend_weight: float) -> Ranked:
    """The candidates by one reading, best first.

    "codes": the log-probability of the semantic ID. "blend": (1 - w) * codes + w * item head, normalised so that the
    probabilities of a user's candidates sum to 1. Equal scores keep the beam's order.
    """
    if rank == "codes":
        return Ranked(candidates.rows, candidates.code_log_probs)
    blended = blend(candidates, blend_weight)
    order = np.argsort(-blended, axis=1, kind="stable")
    return Ranked(np.take_along_axis(candidates.rows, order, 1), np.take_along_axis(blended, order, 1))


def blend(candidates: Candidates, weight: float) -> Float32[ndarray, "histories beams"]:
    """Log-probabilities over each user's candidates; -inf where there is no item."""
    present = candidates.rows >= 0
    codes = np.where(present, candidates.code_log_probs, 0)
    mixed = (1 - weight) * codes + weight * np.where(present, candidates.item_log_probs, 0)
    mixed = np.where(present, mixed, -np.inf)
    highest = np.max(mixed, axis=1, keepdims=True, initial=-np.inf)
    highest = np.where(np.isfinite(highest), highest, 0)
    total = np.exp(mixed - highest).sum(1, keepdims=True)
    return (mixed - highest - np.log(np.where(total > 0, total, 1))).astype(np.float32)


def _widened(part: ndarray, width: int) -> ndarray:
    """Lists from a catalogue smaller than the beam, filled up to its width, so that batches can be stacked."""
    if part.ndim == 1 or part.shape[1] >= width:
        return part
    empty = -1 if part.dtype.kind == "i" else -np.inf
    return np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=empty)
