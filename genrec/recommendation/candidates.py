"""Histories -> candidates: the beam's items with both readings of the model, and their order by one of them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from numpy import ndarray

from genrec.data.batches import history_batch
from genrec.generator.beam_search import Score
from genrec.generator.model import Generator
from genrec.recommendation.added_items import AddedItems, with_added_items
from genrec.recommendation.search import Found, RowFilters, Search
from trie import TorchTrie
from trie.step import certified

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
    generator: Generator,
    trie: TorchTrie,
    histories: Sequence[Int[ndarray, " _"]],
    *,
    beam_size: int,
    filters: RowFilters | None = None,
    score: Score = "joint",
    added: AddedItems | None = None,
) -> Candidates:
    """The `beam_size` best items for every history (item rows, oldest first, at least one each).

    One batch: the caller chooses its size. With `added` items so many are found among the others, and among these.
    """
    filters, num_known = filters or RowFilters(), trie.trie.num_rows
    with torch.inference_mode():
        batch = history_batch(histories, max_items=generator.config.max_items).to(trie.device)
        search = Search(generator, generator.read_history(batch), len(histories), beam_size, score)
        leaves = search.leaves(trie, filters if added is None else filters.within(0, num_known))
        item_log_probs = generator.item_logits(search.read.start[:, 0]).float().log_softmax(-1)
        by_item_head = item_log_probs.gather(1, leaves.row.clamp(min=0)).masked_fill(leaves.row < 0, -torch.inf)
        found = Found(leaves.row, leaves.score, by_item_head, certified(leaves))
        if added is not None:
            theirs = filters.within(num_known, added.trie.trie.num_rows)
            found = with_added_items(found, search, added, filters=theirs, first_row=num_known)
        width = beam_size if added is None else 2 * beam_size
        return Candidates(*(_widened(part, width) for part in (part.cpu().numpy() for part in found)))


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
