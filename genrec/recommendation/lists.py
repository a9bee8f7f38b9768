"""What a history gets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload


class Recommendation(NamedTuple):
    """One recommended item."""

    item_id: str
    score: float
    """Natural log-probability, at most 0."""


@dataclass(frozen=True)
class RecommendationList(Sequence[Recommendation]):
    """What one history gets: the best first, or a sample in the order of its draws."""

    recommendations: tuple[Recommendation, ...]
    certified: int | None
    """How many at the head are proven to be the exact top by their codes, or the first draws; None for a blend."""
    ignored: tuple[str, ...] = ()
    """Ids of the history that the catalogue does not have."""
    version: int = 0
    """Of the recommender that made it; see `Recommender.version`."""

    @property
    def exact(self) -> bool:
        """Whether the whole list is proven to be the true top in the true order, up to float32 rounding and ties.

        Of a sample: that no search would draw another. A list that is shorter than asked for is exact too: nothing else
        was left. False for a blend, which proves nothing.
        """
        return self.certified == len(self)

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Recommendation]: ...
    def __getitem__(self, index: int | slice) -> Recommendation | Sequence[Recommendation]:
        return self.recommendations[index]

    def __len__(self) -> int:
        return len(self.recommendations)
