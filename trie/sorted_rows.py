"""Rows of codes in lexicographic order, column by column."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer, UInt64
from numpy import ndarray

BLOCK = 1 << 15
"""Rows that are packed at a time: their codes stay in the processor's cache from the first level to the last."""


class Sorted(NamedTuple):
    """Rows in lexicographic order of their codes; equal codes in the order of their rows."""

    order: Int32[ndarray, " rows"]
    """Sorted position -> row."""
    columns: tuple[Integer[ndarray, " rows"], ...]
    """Per level, the codes of the sorted rows."""


def token_dtype(level_size: int) -> type[np.integer]:
    """The narrowest type that holds every code of a level and that torch can index."""
    if level_size <= 1 << 8:
        return np.uint8
    return np.uint16 if level_size <= 1 << 16 else np.int32


def sort_rows(codes: Integer[ndarray, "rows length"], level_sizes: Sequence[int]) -> Sorted:
    """The rows sorted by their codes, which must be within the level sizes."""
    code_bits = [(size - 1).bit_length() for size in level_sizes]
    row_bits = (len(codes) - 1).bit_length()
    dtypes = [token_dtype(size) for size in level_sizes]
    if sum(code_bits) + row_bits > 64:
        columns = [codes[:, level].astype(dtype) for level, dtype in enumerate(dtypes)]
        order = np.lexsort(columns[::-1])  # up to 16 bits a code it is a radix sort
        return Sorted(order.astype(np.int32), tuple(column[order] for column in columns))
    # With the row in the low bits the keys are unique, and sorting values is several times faster than argsort.
    keys = _packed(codes, code_bits, row_bits)
    keys.sort()
    return _unpacked(keys, code_bits, row_bits, dtypes)


def _packed(
    codes: Integer[ndarray, "rows length"], code_bits: Sequence[int], row_bits: int
) -> UInt64[ndarray, " rows"]:
    """The codes of a row, the first one highest, and below them the row."""
    keys = np.zeros(len(codes), dtype=np.uint64)
    for block in _blocks(len(codes)):
        key = keys[block]
        for level, bits in enumerate(code_bits):
            key <<= np.uint64(bits)
            key |= codes[block, level].astype(np.uint64)
        key <<= np.uint64(row_bits)
        key |= np.arange(block.start, block.stop, dtype=np.uint64)
    return keys


def _unpacked(
    keys: UInt64[ndarray, " rows"], code_bits: Sequence[int], row_bits: int, dtypes: Sequence[type[np.integer]]
) -> Sorted:
    order = np.empty(len(keys), dtype=np.int32)
    columns = tuple(np.empty(len(keys), dtype=dtype) for dtype in dtypes)
    for block in _blocks(len(keys)):
        key = keys[block]
        order[block] = _low_bits(key, row_bits)
        key >>= np.uint64(row_bits)
        for column, bits in zip(reversed(columns), reversed(code_bits), strict=True):
            column[block] = _low_bits(key, bits)
            key >>= np.uint64(bits)
    return Sorted(order, columns)


def _low_bits(keys: UInt64[ndarray, " _"], bits: int) -> UInt64[ndarray, " _"]:
    return keys & np.uint64((1 << bits) - 1)


def _blocks(num_rows: int) -> Iterator[slice]:
    for start in range(0, num_rows, BLOCK):
        yield slice(start, min(start + BLOCK, num_rows))
