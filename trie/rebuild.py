"""The next trie of a catalogue: what the one before still has, and what came since."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Integer
from numpy import ndarray

from trie.prefix_trie import PrefixTrie
from trie.torch_trie import TorchTrie


def rebuilt(
    trie: TorchTrie, codes: Integer[ndarray, "new length"], rows: Integer[ndarray, " new"], *, num_row_slots: int
) -> PrefixTrie:
    """The trie of the rows that are in stock, under their numbers, and of new ones; ValueError where there are none.

    `rows`: the numbers of the new ones, ascending, all higher than those before. Every number that was valid stays so
    in allow and deny lists, also where the highest ones have no row any more; up to `num_row_slots` - 1 they all are.
    """
    position = trie.trie.arrays.position
    position = position[position >= 0]  # of every row, by ascending number
    if trie.stock is not None:
        in_stock = trie.stock.holds(torch.arange(trie.trie.num_rows, device=trie.device)).cpu().numpy()
        position = position[in_stock[position]]
    columns = [
        np.concatenate([column[position], new.astype(column.dtype)])
        for column, new in zip(code_columns(trie), codes.T, strict=True)
    ]
    fresh = PrefixTrie.from_codes(
        np.stack(columns).T,
        level_sizes=trie.trie.level_sizes,
        rows=np.concatenate([trie.trie.rows()[position], rows]),
    )
    arrays = fresh.arrays
    gone = np.full(num_row_slots - fresh.num_row_slots, -1, dtype=arrays.position.dtype)
    arrays = arrays._replace(position=np.append(arrays.position, gone))
    return replace(fresh, arrays=arrays, has_stop=trie.trie.has_stop)


def code_columns(trie: TorchTrie) -> Iterator[Integer[ndarray, " rows"]]:
    """Level by level, the codes that a trie was made from, in sorted order: `trie.rows()` has their rows' numbers."""
    for level, token in enumerate(trie.trie.arrays.token):
        num_rows = trie.first(level + 1, torch.arange(len(token) + 1, device=trie.device)).diff()
        yield np.repeat(token, num_rows.cpu().numpy())


def check_stops(codes: Integer[ndarray, "rows length"], level_sizes: Sequence[int]) -> None:
    """ValueError unless a stop, the last code of each level after the first, is followed by nothing but stops."""
    stops = codes[:, 1:] == np.array(level_sizes[1:]) - 1
    rows, levels = np.nonzero(stops[:, :-1] & ~stops[:, 1:])
    if len(rows):
        row, level = int(rows[0]), int(levels[0]) + 2
        raise ValueError(
            f"code {codes[row, level]} of row {row} at level {level} follows a stop; "
            f"fill the rest of an ID that has ended with stops, here {level_sizes[level] - 1}"
        )
