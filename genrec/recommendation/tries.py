"""The tries of a catalogue, of the items of the training and of those that came later; versions of it, none changed."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.recommendation.added_items import AddedItems
from genrec.recommendation.stock import in_stock, with_rows, without_rows
from trie import PrefixTrie, TorchTrie
from trie.scores import Score


class Tries(NamedTuple):
    """Rows of the catalogue are those of `trie`, then those of the added items."""

    trie: TorchTrie
    added: AddedItems | None

    @property
    def stocked(self) -> Bool[ndarray, " items"]:
        """Which rows are recommended at all."""
        return np.concatenate([in_stock(each) for each in self.all])

    def without(self, rows: Int[ndarray, " rows"]) -> "Tries":
        """The tries of a catalogue that has lost these rows too; ValueError where nothing is left to recommend."""
        known, late = self._split(rows)
        trie, added = without_rows(self.trie, known), self.added
        if added is not None:
            added = replace(added, trie=without_rows(added.trie, late))
        left = Tries(trie, added)
        if not left.stocked.any():
            raise ValueError("without these items nothing is left to recommend; keep at least one")
        return left

    def having(self, rows: Int[ndarray, " rows"]) -> "Tries":
        """The tries of a catalogue that has these rows again."""
        known, late = self._split(rows)
        added = self.added
        if added is not None:
            added = replace(added, trie=with_rows(added.trie, late))
        return Tries(with_rows(self.trie, known), added)

    def with_added(self, codes: Int[ndarray, "items id_length"], *, boost: float) -> "Tries":
        """The tries with these as all the added items, those there are first; the further ones are in stock.

        The trie of the added items, and no other, is built anew.
        """
        stocked = np.ones(len(codes), dtype=bool)
        if self.added is not None:
            stocked[: self.added.trie.trie.num_row_slots] = in_stock(self.added.trie)
        trie = PrefixTrie.from_codes(codes, level_sizes=self.trie.trie.level_sizes).to(self.trie.device)
        return Tries(self.trie, AddedItems(without_rows(trie, np.flatnonzero(~stocked)), boost))

    @property
    def all(self) -> list[TorchTrie]:
        """One or both."""
        return [self.trie] if self.added is None else [self.trie, self.added.trie]

    def scores(self, of_known: Score) -> dict[TorchTrie, Score]:
        """By what the items of each trie are compared with one another."""
        scores: dict[TorchTrie, Score] = {self.trie: of_known}
        if self.added is not None:
            scores[self.added.trie] = "catalog"
        return scores

    def _split(self, rows: Int[ndarray, " rows"]) -> tuple[Int[ndarray, " known"], Int[ndarray, " late"]]:
        first_added = self.trie.trie.num_row_slots
        return rows[rows < first_added], rows[rows >= first_added] - first_added


def check_new_items(new: Catalogue, codes: Int[ndarray, "_ id_length"], known: Catalogue) -> None:
    """`ValueError` unless these items can stand behind the known ones, each with the codes in its place."""
    if len(codes) != len(new) or not len(new):
        raise ValueError(f"expected the codes of {len(new)} items, one row each and at least one; got {len(codes)}")
    item_ids = new.item_ids.tolist()
    again = [item_id for item_id in item_ids if item_id in known.row_of]
    if again:
        raise ValueError(f"{len(again)} items are in the catalogue already (first: {again[0]!r}); leave them out")
    if len(set(item_ids)) < len(item_ids):
        raise ValueError("an item_id comes more than once; give every new item one row")
