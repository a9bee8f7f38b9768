"""From code rows to the flat arrays of a prefix trie.

The rows are sorted, and the nodes of every depth are numbered from 0 in sorted order. So the children of a node are
neighbours at the next depth, the items below a node are one range of the sorted rows, and no pointer is stored but
where each node's children start.
"""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Int16, Int32, Integer
from numpy import ndarray

from trie.child_starts import ChildStarts
from trie.sorted_rows import sort_rows

LARGEST_LEVEL = 1 << 31


class TrieArrays(NamedTuple):
    """What a trie keeps. Depth 0 is the root, depth `length` the leaves; level l leads from depth l to depth l + 1."""

    token: tuple[Integer[ndarray, " nodes"], ...]
    """Per level, `[nodes at depth l + 1]`: the code that leads to the node (uint8, uint16 or int32 by level size)."""
    starts: tuple[ChildStarts, ...]
    """Per depth, where the nodes' children begin; at the leaves, where their rows do."""
    order: Int32[ndarray, " rows"]
    """Sorted position -> row."""
    position: Int32[ndarray, " row_slots"]
    """Row -> sorted position, for the filters; -1: a number below the highest row that no row has."""


def build_arrays(
    codes: Integer[ndarray, "rows length"], level_sizes: Sequence[int], rows: Int32[ndarray, " rows"] | None = None
) -> TrieArrays:
    """The trie of codes that `checked_level_sizes` has passed, and rows that `checked_rows` has.

    Rows with equal codes share a leaf, in the order that they are given in. `rows` are their numbers, by default
    0, 1, 2, ...
    """
    order, columns = sort_rows(codes, level_sizes)
    token, starts = _nodes(columns)
    if rows is None:
        position = np.empty(len(codes), dtype=np.int32)
    else:
        order, position = rows[order], np.full(int(rows[-1]) + 1, -1, dtype=np.int32)
    position[order] = np.arange(len(codes), dtype=np.int32)
    return TrieArrays(token, starts, order, position)


def checked_level_sizes(
    codes: Integer[ndarray, "rows length"], level_sizes: Sequence[SupportsIndex] | None
) -> tuple[int, ...]:
    """Level sizes as ints, `max + 1` of each column where none are given; ValueError unless every code fits."""
    if codes.ndim != 2 or codes.size == 0 or codes.dtype.kind not in "iu":
        raise ValueError(f"codes must be integers [rows, length], both at least 1; got {codes.dtype} {codes.shape}")
    if len(codes) >= 1 << 31:
        raise ValueError(f"a trie holds fewer than 2**31 rows, got {len(codes)}; split the catalogue")
    # column by column: many times faster than the extremes along the rows
    lowest, highest = [[int(end(column)) for column in codes.T] for end in (np.min, np.max)]
    sizes = tuple(code + 1 for code in highest) if level_sizes is None else tuple(int(size) for size in level_sizes)
    if len(sizes) != codes.shape[1]:
        raise ValueError(f"level_sizes has {len(sizes)} entries, but the codes have {codes.shape[1]} levels")
    if max(sizes) > LARGEST_LEVEL:
        raise ValueError(f"a level has at most 2**31 codes; got level_sizes {sizes}")
    for level, size in enumerate(sizes):
        if lowest[level] < 0 or highest[level] >= size:
            row = int(np.flatnonzero((codes[:, level] < 0) | (codes[:, level] >= size))[0])
            raise ValueError(
                f"code {int(codes[row, level])} of row {row} at level {level} is outside 0..{size - 1}; "
                "mend the codes or give larger level_sizes"
            )
    return sizes


def checked_rows(rows: Integer[ndarray, " rows"], num_codes: int) -> Int32[ndarray, " rows"]:
    """Row numbers as int32; ValueError unless there is one for each of the codes, each once, from 0 to 2**31 - 2."""
    if len(rows) != num_codes:
        raise ValueError(f"expected a row number for each of the {num_codes} rows of codes, got {len(rows)}")
    if int(rows.min()) < 0 or int(rows.max()) >= (1 << 31) - 1:
        raise ValueError(f"row numbers must lie in 0..{(1 << 31) - 2}; got {int(rows.min())}..{int(rows.max())}")
    if not (rows[1:] > rows[:-1]).all():
        raise ValueError("row numbers must be ascending, each once; sort them with their codes")
    return rows.astype(np.int32)


def _nodes(columns: Sequence[Integer[ndarray, " rows"]]) -> tuple[tuple[ndarray, ...], tuple[ChildStarts, ...]]:
    """`token` and `starts` of TrieArrays, from the sorted rows up: each depth groups what lies at the next one."""
    token, starts = [], []
    shared = _shared_codes(columns)
    for depth in range(len(columns), -1, -1):
        begin = np.flatnonzero(np.append(shared < depth, True))
        starts.append(ChildStarts.of_all(begin))
        shared = shared[begin[:-1]]
        columns = [column[begin[:-1]] for column in columns[:depth]]
        token += columns[-1:]  # the root has none
    return tuple(reversed(token)), tuple(reversed(starts))


def _shared_codes(columns: Sequence[Integer[ndarray, " rows"]]) -> Int16[ndarray, " rows"]:
    """How many leading codes each sorted row has in common with the row before it; -1 for the first row."""
    shared = np.zeros(len(columns[0]), dtype=np.int16)
    same = np.ones(len(shared) - 1, dtype=bool)
    for column in columns:
        same &= column[1:] == column[:-1]
        shared[1:] += same
    shared[0] = -1
    return shared
