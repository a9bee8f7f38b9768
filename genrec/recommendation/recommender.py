"""The object that users hold: histories of item ids in, lists of item ids out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal, SupportsIndex

import torch
from jaxtyping import Bool, Float32, Int
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.generator.model import Generator
from genrec.generator.search_model import SearchModel
from genrec.recommendation.added_items import AddedItems
from genrec.recommendation.answers import Answers, Order
from genrec.recommendation.candidates import Candidates, Rank
from genrec.recommendation.captured import Captured, captured_searches
from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.draws import check_temperature, seeds_for
from genrec.recommendation.exact import Limits, first_width, prove, twice
from genrec.recommendation.explanation import Explanation
from genrec.recommendation.given_items import given_log_probs, reading_of
from genrec.recommendation.lists import Recommendation, RecommendationList
from genrec.recommendation.plan import cap_of, plan_of
from genrec.recommendation.readings import Readings
from genrec.recommendation.requests import KnownRequest, Request, alike, known_history, known_request, rows_of
from genrec.recommendation.search import RowFilters, Search
from genrec.recommendation.tries import Tries, check_new_items
from genrec.recommendation.where import Attributes, Where
from trie import PrefixTrie, TorchTrie

__all__ = ["Recommendation", "RecommendationConfig", "Recommender", "Request", "best_device"]


@dataclass(frozen=True, eq=False)
class Recommender:
    """A generator, the trie of its catalogue, and the names of the items. Thread-safe: nothing in it changes."""

    model: SearchModel
    """The generator, made ready for searching."""
    trie: TorchTrie
    """Of the items that the generator was trained on."""
    catalogue: Catalogue
    """Of these, then of those that came later; those that were taken out are still in it."""
    config: RecommendationConfig = field(default_factory=RecommendationConfig)
    added: AddedItems | None = None
    code_names: Mapping[str, str] = field(default_factory=dict)
    """What sets the titles below a prefix of codes apart, such as {"12.7": "shampoo hair argan"}."""
    version: int = 0
    """Counts the changes of the catalogue: `without`, `having`, `with_items`."""

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", with_additions: bool = True
    ) -> "Recommender":
        """The recommender of a run folder; `ArtifactError` if its parts are missing or do not belong together.

        `with_additions`: whether its catalogue is changed as it was since the training, by `genrec add-items` or while
        it was served; the run was evaluated without.
        """
        from genrec.recommendation.loading import load_recommender

        return load_recommender(path, device=device, with_additions=with_additions)

    @classmethod
    def of(
        cls,
        generator: Generator,
        prefix_trie: PrefixTrie,
        catalogue: Catalogue,
        config: RecommendationConfig,
        *,
        added: PrefixTrie | None = None,
        code_names: Mapping[str, str] | None = None,
    ) -> "Recommender":
        """A recommender on the generator's device, with the weights as they are now.

        `added`: the trie of items that the generator has by `add_items`; the catalogue has them behind the others.
        """
        later = None if added is None else AddedItems(added.to(generator.device), config.added_items_boost)
        trie = prefix_trie.to(generator.device)
        return cls(SearchModel(generator.eval()), trie, catalogue, config, later, code_names or {})

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int | None = None,
        *,
        exclude_history: bool | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        where: Where | None = None,
        beam_size: int | None = None,
        rank: Rank | None = None,
        exact: bool = False,
        max_per_prefix: int | None = None,
        prefix_depth: int | None = None,
    ) -> list[RecommendationList]:
        """A list of at most `k` items for every history (item ids, oldest first); None takes the run's default.

        The whole history is excluded, however few of its items the model reads. `allow`, `deny` and `where`
        (conditions on the items' fields, see `genrec.recommendation.where`) hold for every history; lists are shorter
        than `k` where fewer items are left. `exact`, `max_per_prefix`, `prefix_depth`: see `answer`.

        Raises:
            UnknownItemError: a history is empty or has no known item.
            ValueError: `k` or `beam_size` below 1, an `allow` or `where` that allows no item of the catalogue, a cap
                that makes no sense, or `exact` for lists that are ranked by the blend.
        """
        requests = alike(self.config, histories, k, exclude_history, allow, deny, where)
        return self.answer(
            requests,
            beam_size=beam_size,
            rank=rank,
            exact=exact,
            max_per_prefix=max_per_prefix,
            prefix_depth=prefix_depth,
        )

    def known(self, requests: Sequence[Request]) -> list[KnownRequest]:
        """The requests in rows, checked: `answer` takes them as they are.

        Raises:
            UnknownItemError: a history is empty or has no known item.
            ValueError: `k` below 1, or an allow list or conditions that allow no item of the catalogue.
        """
        return [known_request(each, place, self.catalogue, self._attributes) for place, each in enumerate(requests)]

    def answer(
        self,
        requests: Sequence[Request] | Sequence[KnownRequest],
        *,
        beam_size: int | None = None,
        rank: Rank | None = None,
        exact: bool = False,
        max_per_prefix: int | None = None,
        prefix_depth: int | None = None,
    ) -> list[RecommendationList]:
        """As `recommend`, with every request's own filters, searched together in batches.

        `exact`: lists that a beam, narrow by default, does not prove to be the true top by their codes are searched
        again, wider, until they are proven, up to float32 rounding and ties, or the config's `exact_beam_budget` is
        spent: a list's `exact` says which. Filters, added items and caps are part of the proof.

        `max_per_prefix`: at most so many items whose first `prefix_depth` codes are the same: of all lists that hold
        this, the one that takes the items from the best on. As many as `k`: no cap. The beam has a wider cap of its
        own, so `certified` can count fewer than without.
        """
        if beam_size is not None and beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, got {beam_size}")
        most = max([1, *(request.k for request in requests)])
        cap = cap_of(self.config, max_per_prefix, prefix_depth, k=most, id_length=self.trie.trie.length)
        plan = plan_of(self.config, rank, k=most, cap=cap, exact=exact)
        if beam_size is None:
            beam_size = first_width(most, self.config.beam_size) if exact else self.config.beam_size
        making = self._answers(requests, partial(self._readings.best, plan))
        width = min(max(beam_size, most), len(self.catalogue))
        lists = making.all_lists(width, batch_size=self.config.batch_size)
        return prove(lists, making.lists, beam_size=width, limits=self._limits) if exact else lists

    def sample(
        self,
        histories: Sequence[Sequence[str]],
        k: int | None = None,
        *,
        seed: SupportsIndex | Sequence[SupportsIndex],
        temperature: float = 1.0,
        exclude_history: bool | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> list[RecommendationList]:
        """A list of at most `k` different items for every history, drawn one after the other by their probability.

        `seed`: one for each history, or one for all, in which case each history's own follows from it and its place:
        equal ones get different draws. See `draw`; for the other arguments `recommend`.

        Raises:
            UnknownItemError: a history is empty or has no known item.
            ValueError: as `recommend`, or a `seed` or `temperature` that cannot be used.
        """
        requests = alike(self.config, histories, k, exclude_history, allow, deny, where)
        seeds = seeds_for(seed, len(requests))
        seeded = [request._replace(seed=own) for request, own in zip(requests, seeds, strict=True)]
        return self.draw(seeded, temperature=temperature)

    def draw(self, requests: Sequence[Request], *, temperature: float = 1.0) -> list[RecommendationList]:
        """As `sample`, with every request's own seed and filters, searched together in batches.

        The items of a list are in the order of their draws, and each is drawn from what the draws before have left.
        Probabilities are those of the "catalog" score, however the run ranks: they sum to 1 over all items, of which
        the added ones have their share. What a filter leaves out leaves its probability to the others, in proportion.
        An entry's `score` is its natural log-probability before any draw and filter.

        The same seed draws the same in any batch, up to float32 rounding, and a filter only takes items out of the
        draws. `temperature` divides the logits of every code: below 1 likely items become likelier. A list's `exact`
        says that it is proven to be the sample; else the config's `exact_beam_budget` was too little for filters that
        leave out much of what is likely, and the draws after the first `certified` may have missed some.
        """
        check_temperature(temperature)
        making = self._answers(requests, partial(self._readings.draws, temperature))
        most = max([1, *(request.k for request in requests)])
        width = min(first_width(most, self.config.beam_size), len(self.catalogue))
        lists = making.all_lists(width, batch_size=self.config.batch_size)
        return prove(lists, making.lists, beam_size=width, limits=self._limits, widen=twice)

    def find(
        self,
        histories: Sequence[Int[ndarray, " _"]],
        *,
        beam_size: int,
        denied: Sequence[Int[ndarray, " _"]] | None = None,
        allowed: Sequence[Int[ndarray, " _"] | None] | None = None,
        passing: Bool[ndarray, " rows"] | None = None,
    ) -> Candidates:
        """Candidates of the run's own lists for histories in rows, for either ranking: what evaluation looks at.

        Rows that are `denied` or alone `allowed` are each history's own; those that are `passing` are everyone's.
        """
        cap = cap_of(self.config, None, None, k=self.config.k, id_length=self.trie.trie.length)
        plan = plan_of(self.config, "blend", k=self.config.k, cap=cap)
        return self._readings.candidates(plan, histories, RowFilters.needed(denied, allowed, passing), beam_size)

    def score_items(
        self, histories: Sequence[Sequence[str]], item_ids: Sequence[str]
    ) -> Float32[ndarray, "histories items"]:
        """Natural log-probability of every item after every history, by its codes.

        The number that `recommend(rank="codes")` reports for the item, whether it finds it or not; no filter, nor the
        history, takes anything out. -inf for an item that was taken out (`without`).

        Raises:
            UnknownItemError: a history without a known item, or an item that the catalogue does not have.
        """
        rows = rows_of(item_ids, self.catalogue)
        known = [known_history(history, place, self.catalogue)[0] for place, history in enumerate(histories)]
        return given_log_probs(self._readings, known, rows)

    def explain(
        self, history: Sequence[str], item_id: str, *, k: int | None = None, num_alternatives: int = 3
    ) -> Explanation:
        """Why an item scores what it does after a history, and whether it is among the `k` that are recommended.

        Raises:
            UnknownItemError: a history without a known item, or an item that the catalogue does not have.
            ValueError: the item was taken out (`without`), so it has no score.
        """
        row = int(rows_of([item_id], self.catalogue)[0])
        listed = self.recommend([history], k)[0]
        search = Search.of(self.model, [known_history(history, 0, self.catalogue)[0]], score=self.config.score)
        reading = reading_of(search, *self._tries, row, names=self.code_names, num_alternatives=num_alternatives)
        score = float(self.score_items([history], [item_id])[0, 0])
        place = next((place for place, entry in enumerate(listed, start=1) if entry.item_id == item_id), None)
        shown_k = self.config.k if k is None else k
        return Explanation(item_id, self.catalogue.title(row), score, **reading._asdict(), place=place, k=shown_k)

    def without(self, item_ids: Sequence[str]) -> "Recommender":
        """A recommender of the next version that never recommends these items; this one stays as it is.

        They can still be read in histories, and may be taken out more than once.

        Raises:
            UnknownItemError: an item that the catalogue does not have.
            ValueError: nothing would be left to recommend.
        """
        return self._next(self._tries.without(rows_of(item_ids, self.catalogue)))

    def having(self, item_ids: Sequence[str]) -> "Recommender":
        """A recommender of the next version that recommends these items of the catalogue, taken out before or not.

        Raises:
            UnknownItemError: an item that the catalogue does not have.
        """
        return self._next(self._tries.having(rows_of(item_ids, self.catalogue)))

    def with_items(self, catalogue: Catalogue, codes: Int[ndarray, "items id_length"]) -> "Recommender":
        """A recommender of the next version that knows these items too, in the rows behind all others.

        Weights and known rows are shared, so this takes milliseconds; see `AddedItems` for what late items score.
        `codes`: their whole IDs, as `SemanticIDs.append` gives them.

        Raises:
            ValueError: an item that the catalogue has already, or that comes twice; codes that do not fit.
        """
        check_new_items(catalogue, codes, self.catalogue)
        model = self.model.with_items(torch.from_numpy(codes))
        all_codes = model.generator.vocabulary.added_codes.cpu().numpy()
        tries = self._tries.with_added(all_codes, boost=self.config.added_items_boost)
        return replace(self._next(tries), model=model, catalogue=self.catalogue.with_items(catalogue))

    @cached_property
    def stocked(self) -> Bool[ndarray, " items"]:
        """Which rows of the catalogue are recommended at all."""
        mask = self._tries.stocked
        mask.setflags(write=False)
        return mask

    @property
    def generator(self) -> Generator:
        """What it recommends by."""
        return self.model.generator

    @property
    def blend_weight(self) -> float:
        """Weight of the item head in a blend."""
        return self.config.weight_of_item_head

    @cached_property
    def _attributes(self) -> Attributes:
        return Attributes(self.catalogue)

    @cached_property
    def _captured(self) -> Captured:
        if self.trie.device.type != "cuda" or not self.config.cuda_graphs:
            return {}
        beam_size = min(max(self.config.beam_size, self.config.k), len(self.catalogue))
        candidates, batch_size = self.config.candidates, self.config.batch_size
        scores = self._tries.scores(self.config.score)
        return captured_searches(self.model, scores, beam_size=beam_size, candidates=candidates, batch_size=batch_size)

    @property
    def _tries(self) -> Tries:
        return Tries(self.trie, self.added)

    def _next(self, tries: Tries) -> "Recommender":
        return replace(self, **tries._asdict(), version=self.version + 1)

    @property
    def _readings(self) -> Readings:
        return Readings(self.model, self.trie, self.added, self.config, self._captured)

    @property
    def _limits(self) -> Limits:
        """What a proof may take."""
        return Limits.of(self._tries.all, self.config)

    def _answers(self, requests: Sequence[Request] | Sequence[KnownRequest], order: Order) -> Answers:
        known = [
            each if isinstance(each, KnownRequest) else known_request(each, place, self.catalogue, self._attributes)
            for place, each in enumerate(requests)
        ]
        return Answers(known, order, self._attributes, self.catalogue.item_ids, self.version)


def best_device() -> Literal["cuda", "cpu"]:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
