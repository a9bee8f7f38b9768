"""The object that users hold: histories of item ids in, lists of item ids out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.errors import UnknownItemError
from genrec.generator.beam_search import Score
from genrec.generator.model import Generator
from genrec.recommendation.added_items import AddedItems
from genrec.recommendation.candidates import Candidates, Rank, find_candidates, rank_candidates
from genrec.recommendation.lists import Recommendation, RecommendationList
from genrec.recommendation.search import RowFilters
from trie import PrefixTrie, TorchTrie


@dataclass(frozen=True)
class RecommendationConfig:
    """How a run recommends unless a request says otherwise."""

    k: int = 10
    beam_size: int = 50
    exclude_history: bool = True
    """False where people come back to the same items, as in groceries."""
    rank: Rank = "blend"
    blend_weight: float | None = None
    """Weight of the item head in a blend, 0..1; None: chosen on the validation cases at the end of the training."""
    score: Score = "joint"
    batch_size: int = 256
    """Histories searched at once."""
    added_items_boost: float = 1.0
    """Times as likely as their codes say are the items that came after the training; above 1 they are shown more."""

    def __post_init__(self) -> None:
        for name in ("k", "beam_size", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.blend_weight is not None and not 0 <= self.blend_weight <= 1:
            raise ValueError(f"blend_weight must lie between 0 and 1, got {self.blend_weight}")
        if not self.added_items_boost > 0:
            raise ValueError(f"added_items_boost must be above 0, got {self.added_items_boost}")


class Request(NamedTuple):
    """One history and what its list must keep to."""

    history: Sequence[str]
    k: int = 10
    exclude_history: bool = True
    allow: Sequence[str] | None = None
    """Only these items; None: all."""
    deny: Sequence[str] | None = None


class _KnownRequest(NamedTuple):
    """A request in rows."""

    history: Int[ndarray, " known"]
    denied: Int[ndarray, " denied"]
    allowed: Int[ndarray, " allowed"] | None
    ignored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Recommender:
    """A generator, the trie of its catalogue, and the names of the items. Thread-safe: nothing in it changes."""

    generator: Generator
    trie: TorchTrie
    """Of the items that the generator was trained on."""
    catalogue: Catalogue
    """Of these, then of those that came later."""
    config: RecommendationConfig = field(default_factory=RecommendationConfig)
    added: AddedItems | None = None

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", with_additions: bool = True
    ) -> "Recommender":
        """The recommender of a run folder; `ArtifactError` if its parts are missing or do not belong together.

        `with_additions`: whether it knows the items that `genrec add-items` added; the run was evaluated without.
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
    ) -> "Recommender":
        """A recommender on the generator's device.

        `added`: the trie of items that the generator has by `add_items`; the catalogue has them behind the others.
        """
        later = None if added is None else AddedItems(added.to(generator.device), config.added_items_boost)
        return cls(generator.eval(), prefix_trie.to(generator.device), catalogue, config, later)

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int | None = None,
        *,
        exclude_history: bool | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        beam_size: int | None = None,
        rank: Rank | None = None,
    ) -> list[RecommendationList]:
        """A list of at most `k` items for every history (item ids, oldest first); None takes the run's default.

        The whole history is excluded, however few of its items the model reads. `allow` and `deny` hold for every
        history; lists are shorter than `k` where fewer items are left.

        Raises:
            UnknownItemError: a history is empty or has no known item.
            ValueError: `k` or `beam_size` below 1, an empty `allow`, or one without a known item.
        """
        chosen_k = self.config.k if k is None else k
        exclude = self.config.exclude_history if exclude_history is None else exclude_history
        requests = [Request(history, chosen_k, exclude, allow, deny) for history in histories]
        return self.answer(requests, beam_size=beam_size, rank=rank)

    def answer(
        self, requests: Sequence[Request], *, beam_size: int | None = None, rank: Rank | None = None
    ) -> list[RecommendationList]:
        """As `recommend`, with every request's own filters, searched together in batches."""
        if rank not in (None, "codes", "blend"):
            raise ValueError(f"rank must be 'codes' or 'blend', got {rank!r}")
        if beam_size is not None and beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, got {beam_size}")
        for request in requests:
            if request.k < 1:
                raise ValueError(f"k must be at least 1, got {request.k}")
        known = [self._in_rows(request, place) for place, request in enumerate(requests)]
        width = max([self.config.beam_size if beam_size is None else beam_size, *(request.k for request in requests)])
        answers: dict[int, RecommendationList] = {}
        for chosen in _batches([len(request.history) for request in known], self.config.batch_size):
            candidates = self.find(
                [known[place].history for place in chosen],
                beam_size=min(width, len(self.catalogue)),
                denied=[known[place].denied for place in chosen],
                allowed=[known[place].allowed for place in chosen],
            )
            ranked = rank_candidates(candidates, rank=rank or self.config.rank, blend_weight=self.blend_weight)
            by_codes = (rank or self.config.rank) == "codes"
            proven = candidates.certified.tolist() if by_codes else [None] * len(chosen)
            for place, rows, scores, certified in zip(chosen, *ranked, proven, strict=True):
                answers[place] = self._list(
                    rows, scores, k=requests[place].k, certified=certified, ignored=known[place].ignored
                )
        return [answers[place] for place in range(len(requests))]

    def find(
        self,
        histories: Sequence[Int[ndarray, " _"]],
        *,
        beam_size: int,
        denied: Sequence[Int[ndarray, " _"]] | None = None,
        allowed: Sequence[Int[ndarray, " _"] | None] | None = None,
    ) -> Candidates:
        """Candidates for histories in rows: what serving and evaluation share. See `find_candidates`."""
        if allowed is not None and all(rows is None for rows in allowed):
            allowed = None
        if denied is not None and not any(len(rows) for rows in denied):
            denied = None
        return find_candidates(
            self.generator,
            self.trie,
            histories,
            beam_size=beam_size,
            filters=RowFilters(denied, allowed),
            score=self.config.score,
            added=self.added,
        )

    @property
    def blend_weight(self) -> float:
        """Weight of the item head in a blend."""
        return 0.5 if self.config.blend_weight is None else self.config.blend_weight

    def _in_rows(self, request: Request, place: int) -> _KnownRequest:
        history, ignored = self._rows(request.history)
        if not len(history):
            what = f"none of its {len(request.history)} items is in the catalogue" if request.history else "it is empty"
            raise UnknownItemError(
                f"history {place + 1} of the request cannot be read: {what}"
                + (f" (first: {request.history[0]!r})" if request.history else "")
                + "; give at least one item_id of the catalogue"
            )
        denied = self._rows(request.deny)[0] if request.deny else np.empty(0, dtype=np.int64)
        if request.exclude_history:
            denied = np.union1d(denied, history)
        allowed = None
        if request.allow is not None:
            allowed = np.unique(self._rows(request.allow)[0])
            if not len(allowed):
                raise ValueError(
                    f"the allow list of history {place + 1} has {len(request.allow)} items, none in the catalogue; "
                    "give None to allow everything"
                )
        return _KnownRequest(history, denied, allowed, ignored)

    def _rows(self, item_ids: Sequence[str]) -> tuple[Int[ndarray, " known"], tuple[str, ...]]:
        if isinstance(item_ids, str):
            raise ValueError(f"expected a list of item ids, got the text {item_ids!r}; put it into a list")
        row_of = self.catalogue.row_of
        rows = [row_of[item_id] for item_id in item_ids if item_id in row_of]
        return np.array(rows, dtype=np.int64), tuple(item_id for item_id in item_ids if item_id not in row_of)

    def _list(
        self, rows: ndarray, scores: ndarray, *, k: int, certified: int | None, ignored: tuple[str, ...]
    ) -> RecommendationList:
        kept = [(row, score) for row, score in zip(rows[:k].tolist(), scores[:k].tolist(), strict=True) if row >= 0]
        found = tuple(Recommendation(str(self.catalogue.item_ids[row]), min(score, 0.0)) for row, score in kept)
        return RecommendationList(found, None if certified is None else min(certified, len(found)), ignored)


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Places of similarly long histories together, which saves padding."""
    order = np.argsort(lengths, kind="stable").tolist()
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def best_device() -> Literal["cuda", "cpu"]:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
