"""What a run's catalogue has become since its training: items that came, and items that were taken out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32
from numpy import ndarray

from genrec.additions.coding import Coded, append_coded
from genrec.additions.finished_run import FinishedRun
from genrec.additions.part import Part, joined_embeddings
from genrec.data.catalogue import Catalogue
from tokenizer import SemanticIDs
from trie import PrefixTrie


@dataclass(frozen=True, eq=False)
class Additions:
    """All items that a run got after its training, in the order of their rows, which follow those of the run."""

    parts: tuple[Part, ...]
    semantic_ids: SemanticIDs
    """Of the run's items and then of the added ones."""

    @cached_property
    def catalogue(self) -> Catalogue:
        """The added items alone."""
        return Part.joined(self.parts).catalogue

    @cached_property
    def embeddings(self) -> Float32[ndarray, "items embedding_dim"] | None:
        """Their vectors; None where codes came from a file or ask for no vectors."""
        return joined_embeddings(self.parts)

    @property
    def codes(self) -> Int32[ndarray, "items id_length"]:
        """Their IDs."""
        return self.semantic_ids.codes[-sum(map(len, self.parts)) :]

    @cached_property
    def prefix_trie(self) -> PrefixTrie:
        """Of the added items alone: its row 0 is the first of them."""
        return PrefixTrie.from_codes(self.codes, level_sizes=self.semantic_ids.level_sizes)


@dataclass(frozen=True, eq=False)
class Changes:
    """All that was changed; none of it changes an ID, a vector or a weight of the run."""

    base: SemanticIDs
    """Of the run's own items."""
    additions: Additions | None = None
    removed: frozenset[str] = frozenset()
    """Items, the run's own or added ones, that are no longer recommended."""
    manifest: dict[str, Any] | None = None
    """As it lies on disk; None: nothing does."""

    @property
    def semantic_ids(self) -> SemanticIDs:
        """Of all items."""
        return self.base if self.additions is None else self.additions.semantic_ids

    def with_items(
        self,
        catalogue: Catalogue,
        content: Float[ndarray, "items embedding_dim"] | None,
        coded: Coded,
        run: FinishedRun,
    ) -> "Changes":
        """The same with new items behind all others. `DataError` if their codes do not fit to those of the run."""
        earlier = self.semantic_ids
        grown = append_coded(earlier, coded, catalogue.item_ids, run)
        own = SemanticIDs(grown.codes[len(earlier) :], grown.level_sizes, catalogue.item_ids)
        vectors = None if content is None else np.asarray(content, dtype=np.float32)
        parts = () if self.additions is None else self.additions.parts
        return replace(self, additions=Additions((*parts, Part(catalogue, vectors, own)), grown))

    def without(self, item_ids: Iterable[str]) -> "Changes":
        """The same with these items taken out."""
        return replace(self, removed=self.removed.union(item_ids))

    def having(self, item_ids: Iterable[str]) -> "Changes":
        """The same with these items put back."""
        return replace(self, removed=self.removed.difference(item_ids))
