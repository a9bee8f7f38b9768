"""What was made of the newest recommender or catalogue, kept until there is another."""

from collections.abc import Callable
from typing import Generic, TypeVar

Source = TypeVar("Source")
Made = TypeVar("Made")


class Latest(Generic[Source, Made]):
    """Makes something of a source once, knowing what was made of the one before; for one thread at a time."""

    def __init__(self, make: Callable[[Source, Made | None], Made]) -> None:
        self._make = make
        self._kept: tuple[Source, Made] | None = None

    def of(self, source: Source) -> Made:
        """What is made of it."""
        if self._kept is None or self._kept[0] is not source:
            self._kept = (source, self._make(source, None if self._kept is None else self._kept[1]))
        return self._kept[1]
