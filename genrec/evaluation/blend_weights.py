"""Which weight the item head has in a blend: the one with the best NDCG@10 over the validation cases."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.evaluate import search_cases
from genrec.evaluation.metrics import ndcg_at, ranks_in_lists
from genrec.recommendation.candidates import rank_candidates
from genrec.recommendation.recommender import Recommender

BLEND_WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))
"""From the codes alone to the item head alone."""


class BlendChoice(NamedTuple):
    """The best weight, and what every weight reaches."""

    weight: float
    ndcg: dict[str, float]
    """Weight, as text -> NDCG@10."""


def ranks_by_weight(
    recommender: Recommender, interactions: Interactions, cases: Cases, *, beam_size: int
) -> Float64[ndarray, "weights cases"]:
    """Rank of every case's target (from 0, infinity: not found) under each of `BLEND_WEIGHTS`, without a filter."""
    ranks = np.full((len(BLEND_WEIGHTS), len(cases.ends)), np.inf)
    for chosen, candidates in search_cases(
        recommender, interactions, cases, exclude_history=False, beam_size=beam_size
    ):
        targets = interactions.items[cases.ends[chosen]]
        for number, weight in enumerate(BLEND_WEIGHTS):
            ranked = rank_candidates(candidates, rank="blend", blend_weight=weight)
            ranks[number, chosen] = ranks_in_lists(ranked.rows, targets)
    return ranks


def best_weight(ranks: Float64[ndarray, "weights cases"]) -> BlendChoice:
    """The weight of the best row; of equal ones the lowest."""
    curve = {weight: ndcg_at(row, 10) for weight, row in zip(BLEND_WEIGHTS, ranks, strict=True)}
    best = max(curve, key=lambda weight: curve[weight])
    return BlendChoice(best, {str(weight): figure for weight, figure in curve.items()})
