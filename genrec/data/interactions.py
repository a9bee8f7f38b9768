"""The checked table of who interacted with what, in which order."""

from dataclasses import dataclass

from jaxtyping import Int32, Int64, Shaped
from numpy import ndarray


@dataclass(frozen=True)
class Interactions:
    """All sequences, one user after the other, each oldest first (by time, equal times in the order of the file).

    `items` holds rows, positions in `item_ids`; user `u` has `items[offsets[u]:offsets[u + 1]]`. `user_ids` is sorted.
    `times` are unix seconds, or None where the data has an order but no times.
    """

    user_ids: Shaped[ndarray, " users"]
    item_ids: Shaped[ndarray, " items"]
    offsets: Int64[ndarray, " users+1"]
    items: Int32[ndarray, " interactions"]
    times: Int64[ndarray, " interactions"] | None = None

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.user_ids) + 1 or self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise ValueError(
                f"offsets must be {len(self.user_ids) + 1} positions, one more than users, from 0 to {len(self.items)}"
            )
        if len(self.items) and not 0 <= int(self.items.min()) <= int(self.items.max()) < len(self.item_ids):
            raise ValueError(f"items must be rows in 0..{len(self.item_ids) - 1}")
        if self.times is not None and len(self.times) != len(self.items):
            raise ValueError(f"times must have one entry an interaction ({len(self.items)}), not {len(self.times)}")

    @property
    def num_users(self) -> int:
        """How many users have a sequence."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """How many items the catalogue has, those without an interaction included."""
        return len(self.item_ids)

    @property
    def num_interactions(self) -> int:
        """How many interactions all the sequences have together."""
        return len(self.items)

    def of(self, user: int) -> Int32[ndarray, " sequence"]:
        """The user's whole sequence as item rows, oldest first (a view)."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]
