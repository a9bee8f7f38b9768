"""What the generator says of items that are given, whether a search would find them or not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray

from genrec.generator.exhaustive import num_sharers
from genrec.recommendation.added_items import AddedItems, parts_of
from genrec.recommendation.answers import similar_lengths
from genrec.recommendation.explanation import CodeChoice, code_choices, leaf_of
from genrec.recommendation.readings import Readings
from genrec.recommendation.search import Search
from genrec.recommendation.stock import in_stock
from trie import TorchTrie


class Reading(NamedTuple):
    """What an `Explanation` says of an item, whatever is recommended."""

    codes: tuple[CodeChoice, ...]
    num_sharers: int
    is_added: bool
    share_log_prob: float
    item_log_prob: float


def given_log_probs(
    readings: Readings, histories: Sequence[Int[ndarray, " _"]], rows: Int[ndarray, " rows"]
) -> Float32[ndarray, "histories rows"]:
    """Natural log-probability of the rows after each history, by their codes; -inf for those that were taken out."""
    model, trie, added, config, _ = readings
    scores = np.empty((len(histories), len(rows)), dtype=np.float32)
    for places in similar_lengths(histories, config.batch_size):
        search = Search.of(model, [histories[place] for place in places], score=config.score)
        scores[places] = log_probs_of(search, trie, added, rows)
    return scores


@torch.inference_mode()
def log_probs_of(
    search: Search, trie: TorchTrie, added: AddedItems | None, rows: Int[ndarray, " rows"]
) -> Float32[ndarray, "histories rows"]:
    """Natural log-probability of known and added rows by their codes; -inf for those that were taken out."""
    scores = np.empty((search.batch_size, len(rows)), dtype=np.float32)
    for part in parts_of(search, trie, added):
        own = rows - part.first_row
        is_own = (own >= 0) & (own < part.num_rows)
        if is_own.any():
            by_codes = part.search.log_probs(part.trie, own[is_own]) + part.log_share[:, None]
            scores[:, is_own] = by_codes.cpu().numpy()
    return np.minimum(scores, 0)


@torch.inference_mode()
def reading_of(
    search: Search,
    trie: TorchTrie,
    added: AddedItems | None,
    row: int,
    *,
    names: Mapping[str, str],
    num_alternatives: int,
) -> Reading:
    """The reading of one row after the one history that the search has read; ValueError where it was taken out."""
    part = next(part for part in reversed(parts_of(search, trie, added)) if row >= part.first_row)
    own = row - part.first_row
    if not in_stock(part.trie)[own]:
        raise ValueError("the item was taken out of the catalogue, so it has no score; ask an earlier version")
    share = part.log_share.item()
    return Reading(
        code_choices(part.search, part.trie, own, names=names, num_alternatives=num_alternatives),
        int(num_sharers(part.trie, leaf_of(part.trie, own))),
        part.first_row > 0,
        share,
        part.item_log_probs[0, own].item() + share,
    )
