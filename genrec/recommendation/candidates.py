"""Histories -> candidates: the beam's items with both readings of the model, and their order by one of them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from numpy import ndarray

from genrec.data.batches import history_batch
from genrec.generator.beam_search import Score, beam_search
from genrec.generator.model import Generator
from trie import TorchTrie
from trie.filters import AllowRows, Conjunction, DenyRows
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
    denied: Sequence[Int[ndarray, " _"]] | None = None,
    allowed: Sequence[Int[ndarray, " _"] | None] | None = None,
    score: Score = "joint",
) -> Candidates:
    """The `beam_size` best items for every history (item rows, oldest first, at least one each).

    `denied` and `allowed` are item rows per history; None allows everything. One batch: the caller chooses its size.
    """
    with torch.inference_mode():
        batch = history_batch(histories, max_items=generator.config.max_items).to(trie.device)
        read = generator.read_history(batch)
        filters: list[DenyRows | AllowRows] = []
        if denied is not None:
            filters.append(DenyRows.from_rows(trie, denied))
        if allowed is not None:
            filters.append(AllowRows.from_rows(trie, allowed))
        alive = Conjunction.of(*filters).alive if filters else None
        leaves = beam_search(
            generator, trie, read, batch_size=len(histories), beam_size=beam_size, alive=alive, score=score
        )
        item_log_probs = generator.item_logits(read.start[:, 0]).float().log_softmax(-1)
        found = item_log_probs.gather(1, leaves.row.clamp(min=0)).masked_fill(leaves.row < 0, -torch.inf)
        parts = (leaves.row, leaves.score, found, certified(leaves))
        return Candidates(*(_widened(part, beam_size) for part in (part.cpu().numpy() for part in parts)))


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
