"""Requests on their way to lists: searched together in batches, ranked, and named."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from genrec.recommendation.candidates import Candidates, Rank, Ranked, rank_candidates
from genrec.recommendation.lists import Recommendation, RecommendationList
from genrec.recommendation.requests import KnownRequest
from genrec.recommendation.where import Attributes, Condition

LISTED_ROWS = 25_000
"""So many rows in allow lists cost as much as one more search: 5 ms on one CPU thread."""

_Conditions = tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Answers:
    """What lists are made of, and how."""

    requests: Sequence[KnownRequest]
    find: Callable[..., Candidates]
    """`Recommender.find`."""
    attributes: Attributes
    item_ids: Shaped[ndarray, " items"]
    rank: Rank
    blend_weight: float
    version: int

    def lists(self, places: Sequence[int], beam_size: int, *, may_score_all: bool = False) -> list[RecommendationList]:
        """The lists of these requests, all from a beam of that size."""
        found: dict[int, RecommendationList] = {}
        for conditions, together in self._searches(places).items():
            candidates = self.find(
                [self.requests[place].history for place in together],
                beam_size=beam_size,
                denied=[self.requests[place].denied for place in together],
                allowed=[self._allowed(self.requests[place], conditions) for place in together],
                passing=self.attributes.passing(conditions) if conditions else None,
                may_score_all=may_score_all,
            )
            ranked = rank_candidates(candidates, rank=self.rank, blend_weight=self.blend_weight)
            certified = candidates.certified.tolist() if self.rank == "codes" else [None] * len(together)
            for row, place in enumerate(together):
                found[place] = self._list(ranked, row, self.requests[place], certified[row])
        return [found[place] for place in places]

    def _searches(self, places: Sequence[int]) -> dict[_Conditions, list[int]]:
        """Places by the conditions that hold for a whole search, as one bitmap.

        Where few items pass, or few requests have the conditions, these are better told by allow lists in a search that
        others share.
        """
        wanted = Counter(self.requests[place].where for place in places)
        passing = {conditions: int(self.attributes.passing(conditions).sum()) for conditions in wanted if conditions}
        together: dict[_Conditions, list[int]] = {}
        for place in places:
            conditions = self.requests[place].where
            is_listed = not conditions or wanted[conditions] * passing[conditions] <= LISTED_ROWS
            together.setdefault(() if is_listed else conditions, []).append(place)
        return together

    def _allowed(self, request: KnownRequest, told: _Conditions) -> Int[ndarray, " allowed"] | None:
        """The request's allow list, cut to its conditions unless the search has been told them."""
        if request.where == told:
            return request.allowed
        passing = self.attributes.passing(request.where)
        return np.flatnonzero(passing) if request.allowed is None else request.allowed[passing[request.allowed]]

    def _list(self, ranked: Ranked, row: int, request: KnownRequest, certified: int | None) -> RecommendationList:
        rows, scores = ranked.rows[row, : request.k].tolist(), ranked.scores[row, : request.k].tolist()
        found = tuple(
            Recommendation(str(self.item_ids[item]), min(score, 0.0))
            for item, score in zip(rows, scores, strict=True)
            if item >= 0
        )
        proven = None if certified is None else min(certified, len(found))
        return RecommendationList(found, proven, request.ignored, self.version)


def similar_lengths(histories: Sequence[Int[ndarray, " _"]], batch_size: int) -> Iterator[list[int]]:
    """Places of similarly long histories together, which saves padding."""
    order = np.argsort([len(history) for history in histories], kind="stable").tolist()
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
