"""Why an item is recommended or not, and how far a search follows its codes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from genrec.evaluation.target_paths import levels_survived
from genrec.recommendation.added_items import parts_of
from genrec.recommendation.plan import cap_of, plan_of
from genrec.recommendation.recommender import Recommender
from genrec.recommendation.requests import known_history, rows_of
from genrec.recommendation.search import Search


class Why(NamedTuple):
    """What is asked of one item after one history."""

    history: list[str]
    item_id: str
    num_alternatives: int


@dataclass(frozen=True)
class Survival:
    """How many codes of an item a search keeps among its prefixes."""

    beam_size: int
    levels: int


def explained(recommender: Recommender, why: Why) -> dict[str, Any]:
    """The explanation as plain values; costs about five searches of one history.

    Raises:
        UnknownItemError: a history without a known item, or an item that the catalogue does not have.
        ValueError: the item was taken out.
    """
    told = recommender.explain(why.history, why.item_id, num_alternatives=why.num_alternatives).as_dict()
    history, ignored = known_history(why.history, 0, recommender.catalogue)
    survival = survival_of(recommender, Search.of(recommender.model, [history], score=recommender.config.score), why)
    for level, choice in enumerate(told["codes"]):
        choice["survives"] = level < survival.levels
    return {**told, "beam_size": survival.beam_size, "ignored": list(ignored), "version": recommender.version}


@torch.inference_mode()
def survival_of(recommender: Recommender, search: Search, why: Why) -> Survival:
    """How far the run's own search, without any filter, keeps the item's codes."""
    config, row = recommender.config, rows_of([why.item_id], recommender.catalogue)
    cap = cap_of(config, None, None, k=config.k, id_length=recommender.trie.trie.length)
    beam_size = min(max(config.beam_size, config.k), len(recommender.catalogue))
    beam = plan_of(config, None, k=config.k, cap=cap).beam(beam_size)
    part = next(
        part for part in reversed(parts_of(search, recommender.trie, recommender.added)) if row >= part.first_row
    )
    levels = levels_survived(part.search, part.trie, row - part.first_row, beam)
    return Survival(beam_size, int(levels[0]))
