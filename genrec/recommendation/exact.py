"""Lists that are proven to be the true top: those that are not yet are searched again, with a wider beam.

No item below a pruned prefix is likelier than that prefix, so a beam proves its list as far as it is no worse than the
best that was pruned (`trie.step.certified`). And at most 1 / p prefixes of one length have probability p or more, so a
beam of 1 / p_k, with p_k the probability of the k-th item that was found, cannot lose an item of the true top k. All
of it holds up to float32 rounding and ties.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.lists import RecommendationList
from trie import TorchTrie

ROUNDING = 1e-4
"""Relative error of a float32 probability that a beam's width allows for."""
NARROW = 1.5
"""Beams per listed item to begin with."""
GROWTH = 2
"""How much wider each search is than the one before. Going straight to the sure width is slower (benchmarks/exact)."""
LOGITS_AT_ONCE = 1 << 24
"""Logits of one level that a search may have over all its users: 64 MB."""
SIMILAR = 1.5
"""Users are searched together whose beams should differ by no more than this factor."""


class Limits(NamedTuple):
    """What the searches may take."""

    beam_size: int
    """The widest beam: that of the budget, or one as wide as the catalogue, which prunes nothing."""
    level_size: int
    """Codes of the largest level."""
    batch_size: int

    @classmethod
    def of(cls, tries: Sequence[TorchTrie], config: RecommendationConfig) -> "Limits":
        """What a run's config grants searches in all of these: a beam as wide as the largest prunes nothing."""
        leaves = max(each.trie.num_nodes[-1] for each in tries)
        level_size = max(tries[0].trie.level_sizes)
        return cls(min(config.exact_beam_budget, leaves), level_size, config.batch_size)

    def users_at_once(self, beam_size: int) -> int:
        """How many users a search of that width may have."""
        return max(1, min(self.batch_size, LOGITS_AT_ONCE // (beam_size * self.level_size)))


def prove(
    answers: Sequence[RecommendationList],
    search: Callable[[Sequence[int], int], Sequence[RecommendationList]],
    *,
    beam_size: int,
    limits: Limits,
    widen: Callable[[RecommendationList, int], int] | None = None,
) -> list[RecommendationList]:
    """The lists, exact ones in the place of those that are not, as far as the limits reach.

    `answers` come from a beam of `beam_size`; `search(places, beam_size)` makes the lists at these places again. One
    whose width would be beyond the limits is searched as wide as they are, and stays unproven if that is too little.
    `widen`: the beam after one that has found an unproven list; by default `next_width`.
    """
    widen = widen or next_width
    answers, widths = list(answers), [beam_size] * len(answers)
    while wider := {
        place: min(widen(found, widths[place]), limits.beam_size)
        for place, found in enumerate(answers)
        if not found.exact and widths[place] < limits.beam_size
    }:
        for places, width in similar(wider, limits):
            for place, found in zip(places, search(places, width), strict=True):
                answers[place], widths[place] = found, width
    return answers


def first_width(k: int, beam_size: int) -> int:
    """The beam to begin with: lists come out the same, so a narrow one, which already proves most, is enough."""
    return max(k, min(math.ceil(NARROW * k), beam_size))


def next_width(found: RecommendationList, width: int) -> int:
    """The beam to search with after one of `width` has found an unproven list: twice as wide, or one that is sure."""
    sure = sure_width(found[-1].score)
    return min(sure, GROWTH * width) if sure > width else GROWTH * width  # a sure one can fail by rounding alone


def twice(found: RecommendationList, width: int) -> int:
    """The beam after one of `width` where no probability says how wide a sure one is, as for draws."""
    return GROWTH * width


def sure_width(score: float) -> int:
    """A beam that loses no item of this log-probability or a higher one."""
    return math.ceil(math.exp(min(-score, 40.0)) * (1 + ROUNDING))


def similar(widths: Mapping[int, int], limits: Limits) -> Iterator[tuple[list[int], int]]:
    """Places in groups that are searched together, each with the widest beam that one of them wants."""
    group: list[int] = []
    for place in sorted(widths, key=lambda place: widths[place]):
        fits = len(group) < limits.users_at_once(widths[place])
        if group and not (fits and widths[place] <= SIMILAR * widths[group[0]]):
            yield group, widths[group[-1]]
            group = []
        group.append(place)
    if group:
        yield group, widths[group[-1]]
