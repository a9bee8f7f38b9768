"""Rows that are allowed to every user: what is in stock, what is not deleted."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numpy import ndarray
from torch import Tensor

from trie.torch_trie import TorchTrie


@dataclass(frozen=True, eq=False)
class Bitmap:
    """The same rows for every user, e.g. what is in stock."""

    before: Int64[Tensor, " positions_plus_1"]
    """How many allowed rows lie before each sorted position."""

    @classmethod
    def from_mask(cls, trie: TorchTrie, mask: Bool[ndarray, " rows"]) -> "Bitmap":
        """From `mask[row]`: is the row allowed? ValueError where none is, or the length is not `num_row_slots`."""
        if len(mask) != trie.trie.num_row_slots:
            raise ValueError(f"the mask has {len(mask)} rows, but the trie has {trie.trie.num_row_slots}")
        if not mask.any():
            raise ValueError("the mask allows no row")
        before = np.append(0, np.cumsum(mask[trie.trie.arrays.order], dtype=np.int64))
        return cls(torch.from_numpy(before).to(trie.device))

    @property
    def lists(self) -> None:
        """None: a bitmap is no list."""
        return None

    def count(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """How many allowed rows lie in the range."""
        return self.before[hi] - self.before[lo]

    def alive(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Does the range hold an allowed row?"""
        return self.count(lo, hi) > 0

    def holds(self, position: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Is the row at this sorted position allowed?"""
        return self.alive(position, position + 1)
