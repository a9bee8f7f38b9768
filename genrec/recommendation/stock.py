"""What a catalogue still has: a trie's rows without those that were taken out."""

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from trie import Bitmap, TorchTrie


def in_stock(trie: TorchTrie) -> Bool[ndarray, " rows"]:
    """Which rows the catalogue has, by their numbers; a number that no row has is out of stock."""
    order = trie.trie.arrays.order
    kept = np.ones(len(order), dtype=bool) if trie.stock is None else trie.stock.before.diff().cpu().numpy() > 0
    mask = np.zeros(trie.trie.num_row_slots, dtype=bool)
    mask[order] = kept
    return mask


def without_rows(trie: TorchTrie, rows: Int[ndarray, " rows"]) -> TorchTrie:
    """The trie of a catalogue that has lost these rows too; itself where there are none."""
    if not len(rows):
        return trie
    kept = in_stock(trie)
    kept[rows] = False
    return trie.with_stock(bitmap_of(trie, kept))


def bitmap_of(trie: TorchTrie, mask: Bool[ndarray, " rows"]) -> Bitmap:
    """As `Bitmap.from_mask`, but a mask may leave nothing in this trie while other items pass elsewhere."""
    if mask.any():
        return Bitmap.from_mask(trie, mask)
    return Bitmap(torch.zeros(trie.trie.num_rows + 1, dtype=torch.int64, device=trie.device))
