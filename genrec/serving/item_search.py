"""Items by what their title or id says, found by looking through one text of the whole catalogue."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

from genrec.data.catalogue import Catalogue

STRETCH = 1 << 22
"""Bytes that are looked through at a time: other threads wait for no longer than that takes."""
MAX_LOOKED_AT = 50_000
"""So many items that hold the rarest word are looked at for the others."""
_SAMPLE = 1 << 18
"""Bytes by which it is judged how rare a word is."""
_ITEMS_AT_ONCE = 10_000
_END = b"\n"


class Hits(NamedTuple):
    """Rows of the items, those that begin with what is searched first, else in the catalogue's order."""

    rows: list[int]
    has_more: bool
    """Whether there are further ones, or may be where too many had to be looked at."""


class ItemSearch:
    """Titles and ids of a catalogue in small letters, a line each, and all of them one text.

    The lines are searched as they are, in C: an index would take several times their memory and minutes to build for
    a million items, and find no part of a word.
    """

    def __init__(self, catalogue: Catalogue, earlier: "ItemSearch | None" = None) -> None:
        """`earlier`: of the catalogue before, whose lines are taken over where this one only has more items."""
        self.catalogue = catalogue
        kept = earlier if earlier is not None and _is_longer(catalogue, earlier.catalogue) else None
        parts, starts = ([], array("q", [0])) if kept is None else ([kept.text[: -len(_END)]], array("q", kept.starts))
        for first in range(len(starts) - 1, len(catalogue), _ITEMS_AT_ONCE):
            lines = [_lines(catalogue, row) for row in range(first, min(first + _ITEMS_AT_ONCE, len(catalogue)))]
            parts.append(b"".join(lines))
            starts.extend(islice(accumulate(map(len, lines), initial=starts[-1]), 1, None))
        self.text = b"".join([*parts, _END])
        self.starts = starts
        """Where each item's lines begin, and where the last one's end."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def find(self, query: str, *, limit: int, offset: int = 0) -> Hits:
        """The items whose title or id has every word of the query as a part; all items where it has no word."""
        wanted = _plain(query)
        if not wanted:
            rows = range(offset, min(offset + limit, len(self)))
            return Hits(list(rows), offset + limit < len(self))
        found: list[int] = []
        for row in self._hits(wanted):
            if row is None or len(found) > offset + limit:
                return Hits(found[offset : offset + limit], True)
            found.append(row)
        return Hits(found[offset : offset + limit], len(found) > offset + limit)

    def _hits(self, wanted: bytes) -> Iterator[int | None]:
        """Rows, the best first, each once; None at the end if not everything could be looked at."""
        yield from self._holding(_END + wanted)
        words = wanted.split()
        rarest = min(words, key=lambda word: (self.text.count(word, 0, _SAMPLE), -len(word)))
        for looked_at, row in enumerate(self._holding(rarest)):
            if looked_at == MAX_LOOKED_AT:
                yield None
                return
            lines = self.text[self.starts[row] : self.starts[row + 1]]
            if _END + wanted not in lines and all(word in lines for word in words):
                yield row

    def _holding(self, wanted: bytes) -> Iterator[int]:
        """The rows whose lines hold these bytes, in order."""
        begin, overlap = 0, len(wanted) - 1
        while begin < len(self.text):
            place = self.text.find(wanted, begin, begin + STRETCH + overlap)
            if place < 0:
                begin += STRETCH
                continue
            row = bisect_right(self.starts, place) - 1
            yield row
            begin = self.starts[row + 1]


def _is_longer(catalogue: Catalogue, earlier: Catalogue) -> bool:
    """Whether it begins with the items of the earlier one, under the same titles."""
    same = len(earlier)
    titles = [each.fields.get("title", [])[:same] for each in (catalogue, earlier)]
    return titles[0] == titles[1] and np.array_equal(catalogue.item_ids[:same], earlier.item_ids)


def _lines(catalogue: Catalogue, row: int) -> bytes:
    return _END + _plain(catalogue.title(row)) + _END + _plain(str(catalogue.item_ids[row]))


def _plain(text: str) -> bytes:
    """In small letters, with one space between words, and no other white space."""
    return " ".join(text.casefold().split()).encode(errors="replace")
