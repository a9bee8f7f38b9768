"""The two ways in which a model is read for lists: its best items, and draws from what it says."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxtyping import Int
from numpy import ndarray

from genrec.generator.groups import in_groups
from genrec.generator.search_model import SearchModel
from genrec.recommendation.added_items import AddedItems
from genrec.recommendation.candidates import Candidates, Items, Ranked, find_candidates, rank_candidates, stacked
from genrec.recommendation.captured import Captured
from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.diversity import groups_of
from genrec.recommendation.draws import Noise, draw_items
from genrec.recommendation.plan import Plan
from genrec.recommendation.requests import KnownRequest
from genrec.recommendation.search import RowFilters, Search
from trie import TorchTrie


class Readings(NamedTuple):
    """What is read, and how a run does it."""

    model: SearchModel
    trie: TorchTrie
    added: AddedItems | None
    config: RecommendationConfig
    captured: Captured

    def best(self, plan: Plan, requests: Sequence[KnownRequest], filters: RowFilters, beam_size: int) -> Ranked:
        """The best items for every request."""
        found = self.candidates(plan, [request.history for request in requests], filters, beam_size)
        return rank_candidates(found, rank=plan.rank, blend_weight=self.config.weight_of_item_head)

    def candidates(
        self, plan: Plan, histories: Sequence[Int[ndarray, " _"]], filters: RowFilters, beam_size: int
    ) -> Candidates:
        """What may come into the lists of histories in rows."""

        def group(users: slice) -> Candidates:
            search = Search.of(self.model, histories[users], score=self.config.score, captured=self.captured)
            options = {"filters": filters.of(users), "added": self.added, "rank": plan.rank}
            return find_candidates(search, self.trie, plan.beam(beam_size), **options)

        found = stacked(self._in_groups(group, len(histories), beam_size))
        if plan.cap is None:
            return found
        return found._replace(groups=groups_of(self.model.generator.vocabulary, found.rows, plan.cap))

    def draws(
        self, temperature: float, requests: Sequence[KnownRequest], filters: RowFilters, beam_size: int
    ) -> Ranked:
        """Draws for every request."""

        def group(users: slice) -> Ranked:
            search = Search.of(self.model, [request.history for request in requests[users]], score="catalog")
            noise = Noise([request.seed for request in requests[users]], temperature)
            options = {"filters": filters.of(users), "added": self.added}
            return draw_items(search, self.trie, noise, num_samples=beam_size, **options)

        return stacked(self._in_groups(group, len(requests), beam_size))

    def _in_groups(self, search: Callable[[slice], Items], num_histories: int, beam_size: int) -> list[Items]:
        return in_groups(search, num_histories, beam_size=beam_size, device=self.model.generator.device)
