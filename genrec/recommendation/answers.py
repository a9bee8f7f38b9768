"""Requests on their way to lists: searched together in batches, ranked, and named."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from genrec.recommendation.candidates import Ranked
from genrec.recommendation.lists import Recommendation, RecommendationList
from genrec.recommendation.requests import KnownRequest
from genrec.recommendation.search import RowFilters
from genrec.recommendation.where import Attributes, Condition

LISTED_ROWS = 15_000
"""So many rows in allow lists cost as much as one more search: 5 ms on one CPU thread."""

Order = Callable[[Sequence[KnownRequest], RowFilters, int], Ranked]
"""What these requests get of the rows that pass, from a beam of that size."""

_Conditions = tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Answers:
    """What lists are made of, and how."""

    requests: Sequence[KnownRequest]
    order: Order
    attributes: Attributes
    item_ids: Shaped[ndarray, " items"]
    version: int

    def all_lists(self, beam_size: int, *, batch_size: int) -> list[RecommendationList]:
        """The lists of all requests, in batches of similarly long histories."""
        found: dict[int, RecommendationList] = {}
        for places in similar_lengths([request.history for request in self.requests], batch_size):
            found |= zip(places, self.lists(places, beam_size), strict=True)
        return [found[place] for place in range(len(self.requests))]

    def lists(self, places: Sequence[int], beam_size: int) -> list[RecommendationList]:
        """The lists of these requests, all from a beam of that size."""
        found: dict[int, RecommendationList] = {}
        for conditions, together in self._searches(places).items():
            requests = [self.requests[place] for place in together]
            ranked = self.order(requests, self._filters(requests, conditions), beam_size)
            found |= {place: self._list(ranked, row, requests[row]) for row, place in enumerate(together)}
        return [found[place] for place in places]

    def _filters(self, requests: Sequence[KnownRequest], told: _Conditions) -> RowFilters:
        """Those of a search that is `told` these conditions once for all."""
        return RowFilters.needed(
            [request.denied for request in requests],
            [self._allowed(request, told) for request in requests],
            self.attributes.passing(told) if told else None,
        )

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

    def _list(self, ranked: Ranked, row: int, request: KnownRequest) -> RecommendationList:
        rows, scores = ranked.rows[row, : request.k].tolist(), ranked.scores[row, : request.k].tolist()
        found = tuple(
            Recommendation(str(self.item_ids[item]), min(score, 0.0))
            for item, score in zip(rows, scores, strict=True)
            if item >= 0
        )
        proven = None if ranked.certified is None else min(int(ranked.certified[row]), len(found))
        return RecommendationList(found, proven, request.ignored, self.version)


def similar_lengths(histories: Sequence[Int[ndarray, " _"]], batch_size: int) -> Iterator[list[int]]:
    """Places of similarly long histories together, which saves padding."""
    order = np.argsort([len(history) for history in histories], kind="stable").tolist()
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
