"""Which columns of a file say who, what, when and how much liked."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from genrec.data.sources.config import DataConfig
from genrec.errors import DataError


@dataclass(frozen=True)
class Columns:
    """Column names of one format; `time` None: the order of the file counts; `rating` None: ratings are not read.

    time_needed: a file without the time column is an error. all_timed: so is a row without a time.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str | None = "timestamp"
    rating: str | None = "rating"
    time_needed: bool = False
    all_timed: bool = True
    time_unit: Literal["seconds", "milliseconds"] = "seconds"

    def configured(self, config: DataConfig) -> "Columns":
        """The same with the names that the config sets; a time column that it names must be there."""
        named = config.columns
        return replace(
            self,
            user=named.get("user", self.user),
            item=named.get("item", self.item),
            time=named.get("time", self.time) or None,
            rating=named.get("rating", self.rating) if config.min_rating is not None else None,
            time_needed=self.time_needed or bool(named.get("time")),
            time_unit=config.time_unit or self.time_unit,
            all_timed=self.all_timed or bool(named.get("time")),
        )

    def found_in(self, names: Sequence[str], path: Path) -> "Columns":
        """The same, checked against the columns that the file has; `time` is None if it is absent and not needed.

        Raises: DataError for a missing column.
        """
        wanted = {"user": self.user, "item": self.item, "rating": self.rating}
        if self.time_needed:
            wanted["time"] = self.time
        for key, name in wanted.items():
            if name is not None and name not in names:
                raise missing_column(path, name, names, remedy=f"set data.columns.{key} to the right name")
        return replace(self, time=self.time if self.time in names else None)


def missing_column(path: Path, name: str, names: Sequence[str], *, remedy: str) -> DataError:
    """The error for a file without the column `name`."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return DataError(
        f"{path}, line 1: the column {name!r} is missing; the file has {', '.join(names)}{hint}. To mend: {remedy}"
    )
