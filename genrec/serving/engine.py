"""The recommender of the moment behind the server: many calls in, each with its own filters, searched together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from genrec.errors import UnknownItemError
from genrec.generator.model import Generator
from genrec.recommendation.candidates import Rank
from genrec.recommendation.lists import RecommendationList
from genrec.recommendation.recommender import Recommender
from genrec.recommendation.requests import KnownRequest, Request, rows_of


class Reading(NamedTuple):
    """How a list is to be made; requests that want the same are searched together."""

    rank: Rank | None = None
    exact: bool = False
    max_per_prefix: int | None = None
    prefix_depth: int | None = None


class Asked(NamedTuple):
    """One list that a call asks for."""

    request: Request
    reading: Reading = Reading()


class Entry(NamedTuple):
    """One recommended item by name."""

    item_id: str
    title: str
    score: float


class Listed(NamedTuple):
    """A list with the names of its items, all from one version of the catalogue."""

    made: RecommendationList
    titles: list[str]


class Similar(NamedTuple):
    """An item near another."""

    item_id: str
    title: str
    similarity: float


class SimilarItems(NamedTuple):
    """The nearest items, the most similar first, and the version of the catalogue that has them."""

    items: list[Similar]
    version: int


@dataclass(eq=False)
class Engine:
    """Answers by the recommender that it holds; exchange that at any time, a batch keeps the one it began with."""

    recommender: Recommender
    _vectors: tuple[Generator, Float32[Tensor, "items width"]] | None = field(default=None, init=False, repr=False)
    """Unit vectors of all items that a generator knows."""

    def answer(self, calls: Sequence[Sequence[Asked]]) -> list[list[Listed] | Exception]:
        """For each call its lists in order, or what is wrong with it; wrong calls do not touch the others."""
        recommender = self.recommender
        wrong: dict[int, Exception] = {}
        together: dict[Reading, list[tuple[int, int, KnownRequest]]] = {}
        for number, call in enumerate(calls):
            try:
                known = recommender.known([asked.request for asked in call])
            except (UnknownItemError, ValueError) as error:
                wrong[number] = error
                continue
            for place, (asked, request) in enumerate(zip(call, known, strict=True)):
                together.setdefault(asked.reading, []).append((number, place, request))
        found: dict[tuple[int, int], RecommendationList] = {}
        for reading, entries in together.items():
            try:
                lists = recommender.answer([request for _, _, request in entries], **reading._asdict())
            except ValueError as error:
                wrong |= {number: error for number, _, _ in entries}
                continue
            found |= {entry[:2]: made for entry, made in zip(entries, lists, strict=True)}
        return [
            wrong[number] if number in wrong else [_listed(recommender, found[number, p]) for p in range(len(call))]
            for number, call in enumerate(calls)
        ]

    def warm_up(self, recommender: Recommender, *, max_batch: int) -> None:
        """Have this one answer a batch, so that the first caller does not wait for what is made once."""
        history = [str(recommender.catalogue.item_ids[0])]
        for size in (1, max_batch):
            recommender.answer([Request(history, recommender.config.k, recommender.config.exclude_history)] * size)
        self._unit_vectors(recommender.generator)

    @torch.no_grad()
    def similar(self, item_id: str, k: int) -> SimilarItems:
        """The `k` items whose vectors, codes and all, point most nearly where this one's does; not itself.

        Raises:
            UnknownItemError: the catalogue does not have it.
        """
        recommender = self.recommender
        row = int(rows_of([item_id], recommender.catalogue)[0])
        vectors = self._unit_vectors(recommender.generator)
        cosines = vectors @ vectors[row]
        cosines[row] = -torch.inf
        cosines[torch.from_numpy(~recommender.stocked)] = -torch.inf
        best = cosines.topk(min(k + 1, len(cosines)))
        catalogue = recommender.catalogue
        found = [
            Similar(str(catalogue.item_ids[near]), catalogue.title(near), cosine)
            for cosine, near in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            if cosine > -torch.inf
        ]
        return SimilarItems(found[:k], recommender.version)

    @torch.no_grad()
    def _unit_vectors(self, generator: Generator) -> Float32[Tensor, "items width"]:
        kept = self._vectors
        if kept is None or kept[0] is not generator:
            vocabulary, device = generator.vocabulary, generator.device
            rows = torch.arange(len(vocabulary.item_codes) + len(vocabulary.added_codes), device=device)
            vectors = torch.nn.functional.normalize(generator.embedding(rows).float(), dim=1).cpu()
            self._vectors = kept = (generator, vectors)
        return kept[1]


def _listed(recommender: Recommender, made: RecommendationList) -> Listed:
    catalogue = recommender.catalogue
    return Listed(made, [catalogue.title(catalogue.row_of[entry.item_id]) for entry in made])
