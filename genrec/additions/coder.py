"""New items as a caller gives them -> rows, vectors and codes, by what a run's own were made with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from genrec.additions.changes import Changes
from genrec.additions.coding import Coded, codes_by, fitted_tokenizer
from genrec.additions.embedding import embedded_vectors, encoder_of, known_vectors
from genrec.additions.finished_run import FinishedRun
from genrec.data.catalogue import Catalogue, row_order, text_array
from genrec.data.embeddings import EmbeddingConfig, Encoder
from genrec.errors import DataError
from genrec.tokenization.fitted import FittedTokenizer

_LARGEST_CODE = 2**31 - 1


class GivenItem(NamedTuple):
    """A new item, with its codes or its vector where the run's own came from a file."""

    item_id: str
    fields: Mapping[str, str] = {}
    codes: Sequence[int] | None = None
    vector: Sequence[float] | None = None


@dataclass(frozen=True, eq=False)
class Coder:
    """Codes new items of one run. Encoder and tokenizer are loaded when the first ones come, and kept."""

    run: FinishedRun

    def added(self, items: Sequence[GivenItem], changes: Changes) -> Changes:
        """The changes with these items behind all others, in the order of their rows.

        Raises:
            DataError: they cannot be coded as they are given.
            ArtifactError: a part of the run that codes them is missing or damaged.
        """
        by_id = {item.item_id: item for item in items}
        ordered = [by_id[item_id] for item_id in row_order(by_id)]
        catalogue = self._catalogue(ordered)
        if self.run.codes_came_from_a_file:
            _check_given(ordered, needed="codes", others=("vector",), why="the codes of its items came from a file")
            return changes.with_items(catalogue, None, self._given_codes(ordered), self.run)
        content = self._content(ordered, catalogue)
        inputs = self._fitted.inputs_of_later(content, first_row=len(changes.semantic_ids), num_items=len(ordered))
        return changes.with_items(catalogue, content, codes_by(self._fitted, inputs), self.run)

    @cached_property
    def _encoder(self) -> Encoder:
        return encoder_of(self.run)

    @cached_property
    def _fitted(self) -> FittedTokenizer:
        return fitted_tokenizer(self.run)

    def _catalogue(self, items: Sequence[GivenItem]) -> Catalogue:
        names = self.run.catalogue.fields
        for item in items:
            check_fields(item.fields, names)
        fields = {name: [item.fields.get(name, "") for item in items] for name in names}
        return Catalogue(text_array(item.item_id for item in items), fields)

    def _content(
        self, items: Sequence[GivenItem], catalogue: Catalogue
    ) -> Float32[ndarray, "items embedding_dim"] | None:
        """What the tokenizer, or the map to its inputs, reads of the items; None if that is nothing."""
        options = self.run.section("embeddings", EmbeddingConfig)
        if self.run.made_by["kind"] == "sequential":
            _check_given(items, needed=None, others=("codes", "vector"), why="it numbers its items as they come")
            return None
        if options.file is not None:
            _check_given(items, needed="vector", others=("codes",), why="its items were embedded elsewhere")
            return self._given_vectors(items)
        _check_given(items, needed=None, others=("codes", "vector"), why="it codes items by their texts")
        for item in items:
            if not any(item.fields.get(name, "").strip() for name in options.fields):
                raise DataError(f"item {item.item_id!r} has no text in any of {', '.join(options.fields)}; give one")
        return embedded_vectors(self.run, self._encoder, catalogue)

    def _given_vectors(self, items: Sequence[GivenItem]) -> Float32[ndarray, "items embedding_dim"]:
        width = known_vectors(self.run).shape[1]
        for item in items:
            if item.vector is None or len(item.vector) != width:
                raise DataError(f"the vector of item {item.item_id!r} must have the width {width} of the run's own")
        with np.errstate(over="ignore"):
            vectors = np.array([item.vector for item in items], dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise DataError("a vector holds a number that is not finite in 32 bits; embed the item again")
        return vectors

    def _given_codes(self, items: Sequence[GivenItem]) -> Coded:
        for item in items:
            given = item.codes or ()
            if len(given) != self.run.num_levels or not all(0 <= code <= _LARGEST_CODE for code in given):
                raise DataError(
                    f"the codes of item {item.item_id!r} must be {self.run.num_levels} whole numbers from 0 on, as "
                    "those of the run's own items are"
                )
        codes: Int64[ndarray, "items levels"] = np.array([item.codes for item in items], dtype=np.int64)
        return Coded(codes)


def check_fields(given: Iterable[str], known: Mapping[str, object]) -> None:
    """`DataError` for a field that the run's items do not have."""
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        close = get_close_matches(unknown, list(known), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(f"the items have no field {unknown!r}; {hint}known here: {', '.join(known) or 'none'}")


def changed_field(given: Mapping[str, str], catalogue: Catalogue, row: int) -> str | None:
    """A field that is given another text than the item of this row has; None if there is none."""
    return next((name for name, text in given.items() if catalogue.fields[name][row] != text), None)


def _check_given(items: Sequence[GivenItem], *, needed: str | None, others: Sequence[str], why: str) -> None:
    """`DataError` unless every item brings what is needed, and none of the others."""
    for item in items:
        if needed is not None and getattr(item, needed) is None:
            raise DataError(
                f"the run needs {needed} with item {item.item_id!r}, since {why}; give {needed} with each item"
            )
        wrong = next((name for name in others if getattr(item, name) is not None), None)
        if wrong is not None:
            raise DataError(f"the run takes no {wrong}, which item {item.item_id!r} has, since {why}; leave it out")
