"""From code rows to the flat arrays of a prefix trie.

The rows are sorted, and the nodes of every depth are numbered from 0 in sorted order. So the children of a node are
neighbours at the next depth, the items below a node are one range of the sorted rows, and no pointer is stored but
where each node's children start.
"""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer
from numpy import ndarray


class TrieArrays(NamedTuple):
    """What a trie keeps. Depth 0 is the root, depth `length` the leaves; level l leads from depth l to depth l + 1."""

    token: tuple[Integer[ndarray, " nodes"], ...]
    """Per level, `[nodes at depth l + 1]`: the code that leads to the node (uint8, uint16 or int32 by level size)."""
    child: tuple[Int32[ndarray, " parents_plus_1"], ...]
    """Per level, `[nodes at depth l, + 1]`: where a node's children start among the nodes at depth l + 1."""
    order: Int32[ndarray, " rows"]
    """Sorted position -> row."""
    position: Int32[ndarray, " row_slots"]
    """Row -> sorted position, for the filters; -1: a number below the highest row that no row has."""
    shared: Int32[ndarray, " shared_leaves"] | None
    """The leaves that hold more than one row, ascending; None where every leaf holds one."""
    extra: Int32[ndarray, " shared_leaves_plus_1"] | None
    """Rows beyond one per leaf that lie before each shared leaf: leaf + extra = its first sorted position."""


def build_arrays(
    codes: Integer[ndarray, "rows length"], level_sizes: Sequence[int], rows: Int32[ndarray, " rows"] | None = None
) -> TrieArrays:
    """The trie of codes that `checked_level_sizes` has passed, and rows that `checked_rows` has.

    Rows with equal codes share a leaf, in the order that they are given in. `rows` are their numbers, by default
    0, 1, 2, ...
    """
    order = sorted_order(codes, level_sizes)
    starts = np.zeros(len(codes), dtype=bool)  # is a sorted position the first of its node at this depth?
    starts[0] = True
    firsts = np.zeros(1, dtype=np.int64)  # the root's first position
    token, child = [], []
    for level, size in enumerate(level_sizes):
        column = codes[:, level].astype(token_dtype(size))[order]
        starts[1:] |= column[1:] != column[:-1]
        child.append(_child_starts(starts, firsts))
        firsts = np.flatnonzero(starts)
        token.append(column[firsts])
    shared, extra = _shared_leaves(firsts, len(codes))
    order = order if rows is None else rows[order]
    position = np.full(int(order.max()) + 1, -1, dtype=np.int32)
    position[order] = np.arange(len(codes), dtype=np.int32)
    return TrieArrays(tuple(token), tuple(child), order, position, shared, extra)


def token_dtype(level_size: int) -> type[np.integer]:
    """The narrowest type that holds every code of a level and that torch can index."""
    if level_size <= 1 << 8:
        return np.uint8
    return np.uint16 if level_size <= 1 << 16 else np.int32


def sorted_order(codes: Integer[ndarray, "rows length"], level_sizes: Sequence[int]) -> Int32[ndarray, " rows"]:
    """Rows in lexicographic order of their codes; equal codes in the order of their rows."""
    code_bits = [(size - 1).bit_length() for size in level_sizes]
    row_bits = (len(codes) - 1).bit_length()
    if sum(code_bits) > 64:
        return np.lexsort(codes.T[::-1]).astype(np.int32)
    keys = np.zeros(len(codes), dtype=np.uint64)
    for level, bits in enumerate(code_bits):
        keys = (keys << np.uint64(bits)) | codes[:, level].astype(np.uint64)
    if sum(code_bits) + row_bits > 64:
        return np.argsort(keys, kind="stable").astype(np.int32)
    # With the row in the low bits the keys are unique, and sorting values is several times faster than argsort.
    keys = (keys << np.uint64(row_bits)) | np.arange(len(codes), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64((1 << row_bits) - 1)).astype(np.int32)


def checked_level_sizes(
    codes: Integer[ndarray, "rows length"], level_sizes: Sequence[SupportsIndex] | None
) -> tuple[int, ...]:
    """Level sizes as ints, `max + 1` of each column where none are given; ValueError unless every code fits."""
    if codes.ndim != 2 or codes.size == 0 or codes.dtype.kind not in "iu":
        raise ValueError(f"codes must be integers [rows, length], both at least 1; got {codes.dtype} {codes.shape}")
    if len(codes) >= 1 << 31:
        raise ValueError(f"a trie holds fewer than 2**31 rows, got {len(codes)}; split the catalogue")
    highest = codes.max(axis=0)
    sizes = (
        tuple(int(code) + 1 for code in highest) if level_sizes is None else tuple(int(size) for size in level_sizes)
    )
    if len(sizes) != codes.shape[1]:
        raise ValueError(f"level_sizes has {len(sizes)} entries, but the codes have {codes.shape[1]} levels")
    lowest = codes.min(axis=0)
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


def _child_starts(starts: Bool[ndarray, " rows"], parents: Int64[ndarray, " parents"]) -> Int32[ndarray, " _"]:
    """Number of the first child of each parent, and the number of children in all; `parents`: first positions."""
    number = np.cumsum(starts, dtype=np.int32)
    return np.append(number[parents] - 1, number[-1]).astype(np.int32)


def _shared_leaves(firsts: Int64[ndarray, " leaves"], num_rows: int) -> tuple[ndarray | None, ndarray | None]:
    """`shared` and `extra` of TrieArrays, from the first sorted position of each leaf."""
    if len(firsts) == num_rows:
        return None, None
    beyond_one = np.diff(firsts, append=num_rows) - 1
    shared = np.flatnonzero(beyond_one)
    extra = np.append(0, np.cumsum(beyond_one[shared]))
    return shared.astype(np.int32), extra.astype(np.int32)
