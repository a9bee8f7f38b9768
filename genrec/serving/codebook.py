"""The tree of semantic IDs that is served: what lies below a prefix, and how the codes of each level are used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int64
from numpy import ndarray

from genrec.errors import UnknownItemError
from genrec.recommendation.recommender import Recommender
from tokenizer.code_usage import items_per_code, perplexity
from trie import TorchTrie, TrieVersion

MAX_CHILDREN = 1000
"""Children of a prefix that are told, those with the most items."""
MAX_BARS = 128
"""Groups of codes into which the use of a level is told."""


class Codebook:
    """The items in stock by their codes, of one recommender."""

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self._root = self._rows_under(())
        self._root_children = self._children((), self._root)
        self.levels = [_use_of(counts) for counts in items_per_code(self._codes_of(self._root), self._level_sizes)]
        """Of each level its size, the codes that are used, their perplexity, and how the items are spread."""

    def below(self, prefix: Sequence[int], *, limit: int, offset: int) -> dict[str, Any]:
        """The children of a prefix, and a page of the items below it.

        Raises:
            ValueError: a code that its level does not have, or more of them than there are levels.
            UnknownItemError: no item's semantic ID begins so.
        """
        self._check(prefix)
        rows = self._rows_under(prefix) if prefix else self._root
        if not len(rows):
            raise UnknownItemError(f"no item's semantic ID begins with {_joined(prefix)}; follow codes from the first")
        children = self._children(prefix, rows) if prefix else self._root_children
        return {
            "prefix": list(prefix),
            "name": self.recommender.code_names.get(_joined(prefix)),
            "items": len(rows),
            "share": len(rows) / len(self._root),
            "num_children": len(children),
            "children": children[:MAX_CHILDREN],
            "entries": self._entries(rows[offset : offset + limit]),
            "levels": self.levels,
            "version": self.recommender.version,
        }

    @property
    def _level_sizes(self) -> Sequence[int]:
        return self.recommender.generator.vocabulary.level_sizes

    def _check(self, prefix: Sequence[int]) -> None:
        sizes = self._level_sizes
        if len(prefix) > len(sizes):
            raise ValueError(f"a semantic ID has {len(sizes)} codes, and the prefix {len(prefix)}; give fewer")
        for level, (code, size) in enumerate(zip(prefix, sizes, strict=False), start=1):
            if code >= size:
                raise ValueError(f"level {level} has the codes 0..{size - 1}, and the prefix has {code} there")

    def _rows_under(self, prefix: Sequence[int]) -> Int64[ndarray, " _rows"]:
        """Rows of the catalogue in the order of their codes, the added ones last."""
        known, added = self.recommender.trie, self.recommender.added
        rows = _rows_of(known, prefix)
        if added is None:
            return rows
        return np.concatenate([rows, _rows_of(added.trie, prefix) + known.trie.num_row_slots])

    def _children(self, prefix: Sequence[int], rows: Int64[ndarray, " _rows"]) -> list[dict[str, Any]]:
        """The codes that come next, those with the most items first."""
        depth = len(prefix)
        if depth == len(self._level_sizes):
            return []
        counts = np.bincount(self._codes_of(rows)[:, depth])
        used = np.flatnonzero(counts)
        order = used[np.argsort(-counts[used], kind="stable")]
        names = self.recommender.code_names
        return [
            {
                "code": code,
                "name": names.get(_joined([*prefix, code])),
                "items": count,
                "share": count / len(self._root),
            }
            for code, count in zip(order.tolist(), counts[order].tolist(), strict=True)
        ]

    def _codes_of(self, rows: Int64[ndarray, " _rows"]) -> Int[ndarray, " _rows levels"]:
        vocabulary = self.recommender.generator.vocabulary
        return vocabulary.codes_of(torch.from_numpy(rows).to(vocabulary.item_codes.device)).cpu().numpy()

    def _entries(self, rows: Int64[ndarray, " _rows"]) -> list[dict[str, Any]]:
        catalogue = self.recommender.catalogue
        return [
            {"item_id": str(catalogue.item_ids[row]), "title": catalogue.title(row), "codes": codes}
            for row, codes in zip(rows.tolist(), self._codes_of(rows).tolist(), strict=True)
        ]


def _rows_of(trie: TorchTrie, prefix: Sequence[int]) -> Int64[ndarray, " _rows"]:
    """Those in stock; none where this trie does not reach so far."""
    if any(code >= size for code, size in zip(prefix, trie.trie.level_sizes, strict=False)):
        return np.empty(0, dtype=np.int64)
    return TrieVersion(0, trie).rows(prefix).astype(np.int64)


def _use_of(counts: Int64[ndarray, " _codes"]) -> dict[str, Any]:
    used = np.sort(counts[counts > 0])[::-1]
    groups = np.array_split(used, min(MAX_BARS, len(used)))
    return {
        "size": len(counts),
        "used": len(used),
        "perplexity": perplexity(counts),
        "most_used": [float(group.mean()) for group in groups],
    }


def _joined(prefix: Sequence[int]) -> str:
    return ".".join(map(str, prefix))
