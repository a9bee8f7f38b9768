"""What a catalogue still has: a trie's rows without those that were taken out."""

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from trie import Bitmap, TorchTrie, TrieVersion


def in_stock(trie: TorchTrie) -> Bool[ndarray, " rows"]:
    """Which row numbers the catalogue has."""
    return TrieVersion(0, trie).holds(np.arange(trie.trie.num_row_slots))


def without_rows(trie: TorchTrie, rows: Int[ndarray, " rows"]) -> TorchTrie:
    """The trie of a catalogue that has lost these rows too."""
    return TrieVersion(0, trie).without(rows).view


def with_rows(trie: TorchTrie, rows: Int[ndarray, " rows"]) -> TorchTrie:
    """The trie of a catalogue that has these rows again."""
    if trie.stock is None:
        return trie
    stock = trie.stock.including(trie.positions(rows))
    return trie.with_stock(None if stock.num_allowed == trie.trie.num_rows else stock)


def bitmap_of(trie: TorchTrie, mask: Bool[ndarray, " rows"]) -> Bitmap:
    """As `Bitmap.from_mask`, but a mask may leave nothing in this trie while other items pass elsewhere."""
    if mask.any():
        return Bitmap.from_mask(trie, mask)
    return Bitmap.full(trie).without(torch.arange(trie.trie.num_rows, device=trie.device))
