"""The items that can be recommended, with what is known about them, in row order."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64, Shaped
from numpy import ndarray


@dataclass(frozen=True)
class Catalogue:
    """Items in row order; `fields` maps a field's name to one text per row ("" where it is missing)."""

    item_ids: Shaped[ndarray, " items"]
    fields: dict[str, list[str]]

    def __post_init__(self) -> None:
        for name, texts in self.fields.items():
            if len(texts) != len(self.item_ids):
                raise ValueError(f"field {name!r} must have {len(self.item_ids)} texts, one an item, not {len(texts)}")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of every item_id."""
        return {item_id: row for row, item_id in enumerate(self.item_ids.tolist())}

    def with_items(self, added: "Catalogue") -> "Catalogue":
        """These items, then the added ones; of the added fields only those that these items have."""
        missing = [""] * len(added)
        fields = {name: texts + added.fields.get(name, missing) for name, texts in self.fields.items()}
        return Catalogue(np.concatenate([self.item_ids, added.item_ids]), fields)

    def take(self, rows: Int64[ndarray, " rows"]) -> "Catalogue":
        """The items in these rows alone."""
        return Catalogue(
            self.item_ids[rows], {name: [texts[row] for row in rows] for name, texts in self.fields.items()}
        )

    def title(self, row: int) -> str:
        """The item's title; its item_id where it has none."""
        titles = self.fields.get("title")
        return (titles[row] if titles else "") or str(self.item_ids[row])


def row_order(item_ids: Iterable[str]) -> list[str]:
    """The item ids in the order of their rows: sorted by a hash of the id.

    So neither the order of arrival nor the spelling of the ids leaks into codes or ties.
    """
    return sorted(item_ids, key=_hash_then_id)


def _hash_then_id(item_id: str) -> tuple[bytes, str]:
    return hashlib.blake2b(item_id.encode(), digest_size=8).digest(), item_id


def text_array(texts: Iterable[str]) -> Shaped[ndarray, " texts"]:
    """The texts as a numpy string array (never an object array, which would need pickle on disk)."""
    return np.array(list(texts), dtype=np.str_)
