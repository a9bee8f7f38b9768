"""What every format is read into: arrays in the order of reading, not yet filtered, ordered or split."""

from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Int, Int64, Shaped
from numpy import ndarray


@dataclass(frozen=True)
class RawInteractions:
    """One entry an interaction, in the order of reading.

    `users` and `items` are positions in `user_ids` and `item_ids`, which are sorted; `times` are unix seconds.
    `untimed_users` have no times, 0 stands for them all: the order of reading is their order.
    `dropped` counts what was left out and why; `bad_rows` describes the first unreadable rows.
    """

    user_ids: Shaped[ndarray, " users"]
    item_ids: Shaped[ndarray, " known_items"]
    users: Int[ndarray, " rows"]
    items: Int[ndarray, " rows"]
    times: Int64[ndarray, " rows"] | None
    untimed_users: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    bad_rows: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RawItems:
    """The items file: every item_id once, and a text per item for every other column ("" where it is missing)."""

    item_ids: list[str]
    fields: dict[str, list[str]]
    dropped: dict[str, int] = field(default_factory=dict)
    bad_rows: list[str] = field(default_factory=list)


class RawData(NamedTuple):
    """What a source gives; `items` is None where there is no items file."""

    interactions: RawInteractions
    items: RawItems | None
