"""TrieVersion: a catalogue at one moment."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray

from trie.bitmap import Bitmap
from trie.prefix_trie import Prefix
from trie.row_sets import Rows
from trie.torch_trie import TorchTrie


@dataclass(frozen=True, eq=False)
class TrieVersion:
    """The catalogue at one moment. It never changes, and may be read by any number of threads."""

    number: int
    """Higher than that of every version before."""
    view: TorchTrie
    """To decode on; its `stock` leaves out the rows that were deleted since its trie was built, None: none were."""

    @property
    def num_rows(self) -> int:
        """How many rows the catalogue has, which may be none."""
        return self.stock.num_allowed

    @property
    def stock(self) -> Bitmap:
        """The rows that the catalogue has, over the sorted positions of its trie."""
        return Bitmap.full(self.view) if self.view.stock is None else self.view.stock

    def holds(self, rows: Rows) -> Bool[ndarray, " rows"]:
        """Which of these row numbers the catalogue has; not those that were deleted, wait, or never were."""
        position = self._positions(rows)
        found = position >= 0
        if self.view.stock is not None:
            found[found] = self.view.stock.holds(self._tensor(position[found])).cpu().numpy()
        return found

    def rows(self, prefix: Prefix = ()) -> Int32[ndarray, " rows"]:
        """The rows below a prefix, as `PrefixTrie.rows`, without the deleted ones."""
        rows = self.view.trie.rows(prefix)
        return rows[self.holds(rows)]

    def without(self, rows: Rows) -> "TrieVersion":
        """The next version, which lacks these rows; this one where it has none of them."""
        position = self._positions(rows)[self.holds(rows)]
        if not len(position):
            return self
        return TrieVersion(self.number + 1, self.view.with_stock(self.stock.without(self._tensor(position))))

    def _positions(self, rows: Rows) -> Int64[ndarray, " rows"]:
        """The sorted position of each row, -1 for a number that the trie does not have."""
        rows = np.asarray(rows, dtype=np.int64)
        is_known = (rows >= 0) & (rows < self.view.trie.num_row_slots)
        position = np.full(len(rows), -1, dtype=np.int64)
        position[is_known] = self.view.trie.arrays.position[rows[is_known]]
        return position

    def _tensor(self, position: Int64[ndarray, " rows"]) -> torch.Tensor:
        return torch.from_numpy(position).to(self.view.device)
