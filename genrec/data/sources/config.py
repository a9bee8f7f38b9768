"""Where the data is and how it is to be read."""

import difflib
from dataclasses import dataclass, field
from typing import Literal, get_args

from genrec.data.world import WorldConfig

Format = Literal["table", "recbole", "movielens", "amazon2014", "amazon2018", "amazon2023", "sequences", "world"]
_COLUMNS = ("user", "item", "time", "rating")


@dataclass(frozen=True)
class DataConfig:
    """What is read, what is kept of it, and how it is split.

    interactions, items: files or folders of parts; a relative path starts at the data folder. Without `items` the
        catalogue is the items of the interactions, without texts.
    columns: names for user, item, time and rating where they are not the format's own; time "" means: keep the file's
        order. Without a time column the order of the file is the order.
    items_id: the id column of the items file (default: the format's own, or the item column's name).
    title: the items' column that is the title, where it is not called so.
    delimiter: of a CSV or TSV table, where it is not a comma or a tab.
    time_unit: of numeric times; the format's own if None (milliseconds for amazon2023, else seconds).
    min_rating: interactions rated lower are dropped.
    repeats: what happens to a user's later interactions with the same item.
    k_core: users and items with fewer interactions are dropped until none is left (0: nobody is).
    cold_items: whether items without any interaction stay in the catalogue (only with k_core 0).
    max_bad_share: the share of unreadable rows up to which they are dropped and counted rather than refused.
    unknown_items: what happens to interactions with items that the items file lacks.
    validation_from_unix_s, test_from_unix_s: the cuts of the split global_time.
    """

    format: Format = "world"
    interactions: str | None = None
    items: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    items_id: str | None = None
    title: str | None = None
    delimiter: str | None = None
    time_unit: Literal["seconds", "milliseconds"] | None = None
    min_rating: float | None = None
    repeats: Literal["keep", "drop_consecutive", "first_only"] = "keep"
    k_core: int = 0
    cold_items: Literal["keep", "drop"] = "keep"
    max_bad_share: float = 0.0
    unknown_items: Literal["error", "drop"] = "error"
    split: Literal["leave_one_out", "global_time"] = "leave_one_out"
    validation_from_unix_s: int | None = None
    test_from_unix_s: int | None = None
    world: WorldConfig = field(default_factory=WorldConfig)

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_columns()
        if (self.format == "world") != (self.interactions is None):
            raise ValueError(
                "data.interactions must name a file or folder, except for data.format: world, which has none; "
                f"format is {self.format!r} and interactions is {self.interactions!r}"
            )
        if self.k_core < 0:
            raise ValueError(f"data.k_core must be 0 (no filter) or more, not {self.k_core}")
        if not 0 <= self.max_bad_share < 1:
            raise ValueError(f"data.max_bad_share is a share of the rows: 0 <= it < 1, not {self.max_bad_share}")
        begin, end = self.validation_from_unix_s, self.test_from_unix_s
        if begin is not None and end is not None and begin > end:
            raise ValueError(
                f"data.validation_from_unix_s ({begin}) must not be after data.test_from_unix_s ({end}): "
                "the validation comes before the test"
            )
        if self.split == "global_time" and (self.validation_from_unix_s is None or self.test_from_unix_s is None):
            raise ValueError(
                "data.split: global_time needs data.validation_from_unix_s and data.test_from_unix_s (unix seconds)"
            )

    def _check_choices(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"data.{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.time_unit not in (None, "seconds", "milliseconds"):
            raise ValueError(f"data.time_unit must be seconds or milliseconds, not {self.time_unit!r}")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError(f"data.delimiter must be one character, not {self.delimiter!r}")

    def _check_columns(self) -> None:
        for key in self.columns:
            if key not in _COLUMNS:
                near = difflib.get_close_matches(key, _COLUMNS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_COLUMNS)}"
                raise ValueError(f"data.columns.{key} is unknown; {hint}")
        for key in ("user", "item"):
            if self.columns.get(key) == "":
                raise ValueError(f"data.columns.{key} must name a column; only time may be empty")


_CHOICES: dict[str, tuple[str, ...]] = {
    "format": get_args(Format),
    "repeats": ("keep", "drop_consecutive", "first_only"),
    "cold_items": ("keep", "drop"),
    "unknown_items": ("error", "drop"),
    "split": ("leave_one_out", "global_time"),
}
