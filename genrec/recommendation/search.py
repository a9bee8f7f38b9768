"""Beam searches for one batch of histories, each among the rows of one trie that pass the filters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray
from torch import Tensor

from genrec.generator.beam_search import Score, beam_search
from genrec.generator.model import Generator, ReadHistory
from trie import AllowRows, Conjunction, DenyRows, Filter, Leaves, TorchTrie


class RowFilters(NamedTuple):
    """Rows per history; None: no such filter. Of `allowed`, None for a history allows it everything."""

    denied: Sequence[Int[ndarray, " _"]] | None = None
    allowed: Sequence[Int[ndarray, " _"] | None] | None = None

    def within(self, first_row: int, num_rows: int) -> "RowFilters":
        """The same on a part of the rows, counted from its first one."""
        denied, allowed = self.denied, self.allowed
        if denied is not None:
            denied = [_part(rows, first_row, num_rows) for rows in denied]
            denied = denied if any(len(rows) for rows in denied) else None
        if allowed is not None:
            allowed = [None if rows is None else _part(rows, first_row, num_rows) for rows in allowed]
        return RowFilters(denied, allowed)

    def on(self, trie: TorchTrie) -> Filter | None:
        """These filters on the rows of a trie (see `trie.filters`); None where everything is allowed."""
        filters: list[DenyRows | AllowRows] = []
        if self.denied is not None:
            filters.append(DenyRows.from_rows(trie, self.denied))
        if self.allowed is not None:
            filters.append(_allow(trie, self.allowed))
        return Conjunction.of(*filters) if filters else None


class Found(NamedTuple):
    """What was found for each history, best codes first; -1 fills rows of users with fewer items."""

    rows: Int64[Tensor, "histories beams"]
    code_log_probs: Float32[Tensor, "histories beams"]
    item_log_probs: Float32[Tensor, "histories beams"]
    certified: Int64[Tensor, " histories"]


@dataclass(frozen=True, eq=False)
class Search:
    """A generator that has read a batch of histories, and how wide its searches are."""

    generator: Generator
    read: ReadHistory
    batch_size: int
    beam_size: int
    score: Score

    def leaves(self, trie: TorchTrie, filters: RowFilters) -> Leaves:
        """The best rows of the trie for every history."""
        return beam_search(
            self.generator,
            trie,
            self.read,
            batch_size=self.batch_size,
            beam_size=self.beam_size,
            filters=filters.on(trie),
            score=self.score,
        )


def _part(rows: Int[ndarray, " _"], first_row: int, num_rows: int) -> Int[ndarray, " _"]:
    counted = np.asarray(rows, dtype=np.int64) - first_row
    return counted[(counted >= 0) & (counted < num_rows)]


def _allow(trie: TorchTrie, allowed: Sequence[Int[ndarray, " _"] | None]) -> AllowRows:
    """The filter; a list of which nothing is left in this trie allows nothing."""
    emptied = [rows is not None and len(rows) == 0 for rows in allowed]
    listed = AllowRows.from_rows(
        trie, [None if is_empty else rows for rows, is_empty in zip(allowed, emptied, strict=True)]
    )
    return replace(listed, free=listed.free & ~listed.free.new_tensor(emptied))
