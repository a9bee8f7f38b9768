"""Searches for one batch of histories, each among the rows of one trie that pass the filters."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64
from numpy import ndarray
from torch import Tensor

from genrec.data.batches import history_batch
from genrec.generator.beam_search import PrefixCap, beam_search, sample_search
from genrec.generator.exhaustive import best_of_catalogue, score_positions
from genrec.generator.search_model import ReadHistory, SearchModel
from genrec.recommendation.captured import Captured
from genrec.recommendation.stock import bitmap_of
from trie import AllowRows, Bitmap, Conjunction, DenyRows, Filter, Leaves, TorchTrie
from trie.sampling import SampledRows
from trie.scores import Score


class RowFilters(NamedTuple):
    """Rows per history; None: no such filter. Of `allowed`, None for a history allows it everything."""

    denied: Sequence[Int[ndarray, " _"]] | None = None
    allowed: Sequence[Int[ndarray, " _"] | None] | None = None
    passing: Bool[ndarray, " rows"] | None = None
    """Which rows any of the histories may get."""

    @classmethod
    def needed(
        cls,
        denied: Sequence[Int[ndarray, " _"]] | None,
        allowed: Sequence[Int[ndarray, " _"] | None] | None,
        passing: Bool[ndarray, " rows"] | None,
    ) -> "RowFilters":
        """Those of these that filter something."""
        if denied is not None and not any(len(rows) for rows in denied):
            denied = None
        if allowed is not None and all(rows is None for rows in allowed):
            allowed = None
        return cls(denied, allowed, passing)

    def of(self, users: slice) -> "RowFilters":
        """Those of some of the histories."""
        denied = None if self.denied is None else self.denied[users]
        allowed = None if self.allowed is None else self.allowed[users]
        return RowFilters(denied, allowed, self.passing)

    def within(self, first_row: int, num_rows: int) -> "RowFilters":
        """The same on a part of the rows, counted from its first one."""
        denied, allowed, passing = self
        if denied is not None:
            denied = [_part(rows, first_row, num_rows) for rows in denied]
        if allowed is not None:
            allowed = [None if rows is None else _part(rows, first_row, num_rows) for rows in allowed]
        if passing is not None:
            passing = passing[first_row : first_row + num_rows]
        return RowFilters.needed(denied, allowed, passing)

    def on(self, trie: TorchTrie) -> Filter | None:
        """These filters on the rows of a trie (see `trie.filters`); None where everything is allowed."""
        filters: list[DenyRows | AllowRows | Bitmap] = []
        if self.denied is not None:
            filters.append(DenyRows.from_rows(trie, self.denied))
        if self.allowed is not None:
            filters.append(_allow(trie, self.allowed))
        if self.passing is not None:
            filters.append(bitmap_of(trie, self.passing))
        return Conjunction.of(*filters) if filters else None


class Found(NamedTuple):
    """What was found for each history, highest keys first; -1 fills rows of users with fewer items."""

    rows: Int64[Tensor, "histories beams"]
    code_log_probs: Float32[Tensor, "histories beams"]
    key: Float32[Tensor, "histories beams"]
    """What the order goes by: `code_log_probs`, or of draws these with their noise."""
    bound: Float32[Tensor, " histories"]
    """No row that is missing has a higher key."""

    @property
    def certified(self) -> Int64[Tensor, " histories"]:
        """How many at the head are proven to be what no pruning would have left there; see `trie.step.certified`."""
        return ((self.key >= self.bound[:, None]) & (self.rows >= 0)).sum(1)


class Beam(NamedTuple):
    """How wide a search is."""

    size: int
    num_leaves: int
    """How many items are kept of those below the last prefixes."""
    cap: PrefixCap | None = None
    mass: float = 1.0
    """See `trie.adaptive`."""
    at_least: int = 1
    """So many beams are kept whatever the mass."""
    may_score_all: bool = False
    """Whether a beam that asks about every node anyway may do without choosing any; the same rows up to rounding."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its size is asked for."""
        return self.cap is None and self.mass == 1


@dataclass(frozen=True, eq=False)
class Search:
    """A generator that has read a batch of histories, and how its searches go."""

    model: SearchModel
    history: Int[Tensor, "histories items"]
    read: ReadHistory
    score: Score
    captured: Captured = field(default_factory=dict)
    """Searches that are replayed where they are the ones that are asked for."""

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        model: SearchModel,
        histories: Sequence[Int[ndarray, " _"]],
        *,
        score: Score,
        captured: Captured | None = None,
    ) -> "Search":
        """Read the histories (item rows, oldest first, at least one each)."""
        config, device = model.generator.config, model.generator.device
        batch = history_batch(histories, max_items=config.max_items).to(device)
        return cls(model, batch, model.read_history(batch), score, captured or {})

    @property
    def batch_size(self) -> int:
        """How many histories there are."""
        return len(self.history)

    def leaves(self, trie: TorchTrie, filters: RowFilters, beam: Beam) -> Leaves:
        """The best rows of the trie for every history."""
        captured = self.captured.get((trie, self.score, beam.size, beam.num_leaves))
        if captured is not None and beam.is_plain and captured.buckets.hold(self.history):
            return captured(self.history, filters.on(trie))
        every_node = beam.may_score_all and asks_all(trie, beam.size)
        if every_node:
            search = partial(best_of_catalogue, beam_size=beam.num_leaves)
        else:
            widths = {"beam_size": beam.size, "num_leaves": beam.num_leaves}
            search = partial(beam_search, mass=beam.mass, at_least=beam.at_least, **widths)
        return search(
            self.model,
            trie,
            self.read,
            batch_size=self.batch_size,
            filters=filters.on(trie),
            score=self.score,
            cap=beam.cap,
        )

    def draws(
        self,
        trie: TorchTrie,
        filters: RowFilters,
        *,
        seeds: Int64[Tensor, " histories"],
        num_samples: int,
        temperature: float,
    ) -> SampledRows:
        """Rows of the trie for every history, drawn one after the other by their probability in it."""
        return sample_search(
            self.model,
            trie,
            self.read,
            seeds=seeds,
            num_samples=num_samples,
            filters=filters.on(trie),
            temperature=temperature,
        )

    def log_probs(self, trie: TorchTrie, rows: Int[ndarray, " rows"]) -> Float32[Tensor, "histories rows"]:
        """What `leaves` reports of these rows of the trie as their score, found or not; -inf out of stock."""
        positions = trie.positions(rows)
        return score_positions(
            self.model, trie, self.read, positions=positions, batch_size=self.batch_size, score=self.score
        )


def asks_all(trie: TorchTrie, beam_size: int) -> bool:
    """Whether a beam is so wide that the model is asked about every node of the trie."""
    return beam_size >= max(trie.trie.num_nodes[:-1], default=1)


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
