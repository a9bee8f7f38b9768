"""Rows that are allowed to every user: what is in stock, what is not deleted.

One bit a row, 64 to a word, and how many are allowed before each word: 0.19 bytes a row. How many are allowed before a
position is the count of its word and the bits below it (rank; Jacobson 1989, "Space-efficient static trees").
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray
from torch import Tensor

from trie.torch_trie import TorchTrie


@dataclass(frozen=True, eq=False)
class Bitmap:
    """The same rows for every user. It never changes: `without`, `including` and `&` make new ones."""

    words: Int64[Tensor, " words"]
    """Bit `position & 63` of word `position >> 6`: is the row at this sorted position allowed? 0 past the end."""
    before: Int32[Tensor, " words"]
    """How many allowed rows lie before each word."""
    num_positions: int

    @classmethod
    def from_mask(cls, trie: TorchTrie, mask: Bool[ndarray, " rows"]) -> "Bitmap":
        """From `mask[row]`: is the row allowed? ValueError where none is, or the length is not `num_row_slots`."""
        if len(mask) != trie.trie.num_row_slots:
            raise ValueError(f"the mask has {len(mask)} rows, but the trie has {trie.trie.num_row_slots}")
        if not mask.any():
            raise ValueError("the mask allows no row")
        num_positions = trie.trie.num_rows
        bits = np.zeros(64 * _num_words(num_positions), dtype=bool)
        bits[:num_positions] = mask[trie.trie.rows()]
        words = np.packbits(bits, bitorder="little").view("<i8").astype(np.int64)
        return cls.from_words(torch.from_numpy(words).to(trie.device), num_positions)

    @classmethod
    def full(cls, trie: TorchTrie) -> "Bitmap":
        """Every row of the trie."""
        num_positions = trie.trie.num_rows
        words = torch.full((_num_words(num_positions),), -1, dtype=torch.int64, device=trie.device)
        words[-1] = (1 << (num_positions & 63)) - 1
        return cls.from_words(words, num_positions)

    @classmethod
    def from_words(cls, words: Int64[Tensor, " words"], num_positions: int) -> "Bitmap":
        """From `words` of another bitmap over as many positions."""
        if len(words) != _num_words(num_positions):
            raise ValueError(f"{num_positions} rows need {_num_words(num_positions)} words, got {len(words)}")
        number = _popcount(words.clone())
        return cls(words, (number.cumsum(0) - number).int(), num_positions)

    @property
    def num_allowed(self) -> int:
        """How many rows are allowed; waits for the device."""
        return int(self.before[-1] + _popcount(self.words[-1].clone()))

    @cached_property
    def share(self) -> float:
        """The share of the rows that is allowed; 1 where none is, and of none."""
        return (self.num_allowed or self.num_positions) / max(self.num_positions, 1)

    @property
    def lists(self) -> None:
        """None: a bitmap is no list."""
        return None

    def count(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """How many allowed rows lie in the range."""
        # both ends at once: a beam step asks about few nodes, and there each torch call costs more than its work
        before_lo, before_hi = self._rank(torch.stack([lo, hi])).unbind()
        return before_hi - before_lo

    def alive(self, lo: Int64[Tensor, "*nodes"], hi: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Does the range hold an allowed row?"""
        return self.count(lo, hi) > 0

    def holds(self, position: Int64[Tensor, "*nodes"]) -> Bool[Tensor, "*nodes"]:
        """Is the row at this sorted position allowed?"""
        return ((self.words.take(position >> 6) >> (position & 63)) & 1) > 0

    def without(self, positions: Int64[Tensor, " some"]) -> "Bitmap":
        """A new bitmap that does not allow these, in any order; time goes with the words, not the rows."""
        return self.from_words(self.words & ~self._only(positions), self.num_positions)

    def including(self, positions: Int64[Tensor, " some"]) -> "Bitmap":
        """A new bitmap that allows these as well, in any order."""
        return self.from_words(self.words | self._only(positions), self.num_positions)

    def __and__(self, other: "Bitmap") -> "Bitmap":
        """The rows that both allow; ValueError unless they are over as many rows."""
        if self.num_positions != other.num_positions:
            raise ValueError(f"bitmaps over {self.num_positions} and {other.num_positions} rows cannot be joined")
        return self.from_words(self.words & other.words, self.num_positions)

    def _rank(self, position: Int64[Tensor, "*nodes"]) -> Int64[Tensor, "*nodes"]:
        """How many allowed rows lie before each position, the one after the last included."""
        word = position >> 6
        below = (-1 << (position & 63)).bitwise_not_()  # the bits of lower positions; never the sign bit
        return _popcount(below.bitwise_and_(self.words.take(word))).add_(self.before.take(word))

    def _only(self, positions: Int64[Tensor, " some"]) -> Int64[Tensor, " words"]:
        """The words in which just these are allowed."""
        positions = positions.unique()
        if len(positions) and not 0 <= int(positions[0]) <= int(positions[-1]) < self.num_positions:
            found = f"{int(positions[0])}..{int(positions[-1])}"
            raise ValueError(f"sorted positions must lie in 0..{self.num_positions - 1}; got {found}")
        # different bits of one word add up to their union
        return torch.zeros_like(self.words).scatter_add_(0, positions >> 6, 1 << (positions & 63))


def _num_words(num_positions: int) -> int:
    """One more than are full, so that the position after the last has a word too."""
    return (num_positions >> 6) + 1


def _popcount(words: Int64[Tensor, "*words"]) -> Int64[Tensor, "*words"]:
    """How many bits are set, written into `words`; torch has no such operation (Warren, Hacker's Delight, fig. 5-2).

    A table of 2**16 counts is as fast for a few hundred words, and half as fast for tens of thousands.
    """
    words.sub_((words >> 1).bitwise_and_(0x5555555555555555))
    pairs = (words >> 2).bitwise_and_(0x3333333333333333)
    words.bitwise_and_(0x3333333333333333).add_(pairs)
    words.add_(words >> 4).bitwise_and_(0x0F0F0F0F0F0F0F0F)
    return words.mul_(0x0101010101010101).bitwise_right_shift_(56)
