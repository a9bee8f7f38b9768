"""How the lists of one call are made."""

from typing import NamedTuple

from genrec.errors import ConfigError
from genrec.generator.beam_search import PrefixCap
from genrec.recommendation.candidates import Rank
from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.diversity import cap_of_beam
from genrec.recommendation.search import Beam


class Plan(NamedTuple):
    """How the lists of one call are made."""

    rank: Rank
    k: int
    """The length of the longest list."""
    cap: PrefixCap | None = None
    """What every list has to hold."""
    mass: float = 1.0
    may_score_all: bool = False
    """See `Beam`."""
    candidates: int = 1
    """So many items at least, if the beam has them, are ordered for a list."""

    def beam(self, size: int) -> Beam:
        """A beam of that size that fills the lists, if there are enough items that may stand in them."""
        leaves = max(size, self.candidates)
        if self.cap is None:
            return Beam(size, leaves, None, self.mass, min(self.k, size), self.may_score_all)
        # narrowed to its best prefixes, a capped beam might be left with too few of them
        return Beam(size, leaves, cap_of_beam(self.cap, beam_size=size, k=self.k), may_score_all=self.may_score_all)


def plan_of(
    config: RecommendationConfig, rank: Rank | None, *, k: int, cap: PrefixCap | None, exact: bool = False
) -> Plan:
    """The plan for lists of up to `k`, by the run's ranking unless another is asked for.

    Raises:
        ValueError: a ranking that does not exist, or one that proves nothing for lists that are to be `exact`.
    """
    if rank not in (None, "codes", "blend"):
        raise ValueError(f"rank must be 'codes' or 'blend', got {rank!r}")
    if exact and (rank or config.rank) != "codes":
        whose = "the run's default" if rank is None else "asked for"
        raise ValueError(f"only a ranking by codes can be exact, and rank='blend' is {whose}; give rank='codes' too")
    rank = rank or config.rank
    # a beam that is narrowed has dropped what a proof needs
    mass = 1.0 if exact else config.beam_mass
    return Plan(rank, k, cap, mass, may_score_all=exact, candidates=config.candidates if rank == "blend" else 1)


def cap_of(
    config: RecommendationConfig, max_per_prefix: int | None, prefix_depth: int | None, *, k: int, id_length: int
) -> PrefixCap | None:
    """The cap that is asked for, or else the config's; None where a list of `k` cannot exceed it.

    Raises:
        ValueError: a cap below 1, or first codes that are none or more than an ID has.
        ConfigError: the config has such first codes.
    """
    most = config.max_per_prefix if max_per_prefix is None else max_per_prefix
    depth = config.prefix_depth if prefix_depth is None else prefix_depth
    if most is None:
        if prefix_depth is not None:
            raise ValueError("prefix_depth says how many first codes max_per_prefix counts; give max_per_prefix too")
        return None
    if most < 1:
        raise ValueError(f"max_per_prefix must be at least 1, got {most}")
    if not 1 <= depth <= id_length:
        name, error = ("recommendation.", ConfigError) if prefix_depth is None else ("", ValueError)
        raise error(f"{name}prefix_depth must lie in 1..{id_length}, the codes of an ID; got {depth}")
    return PrefixCap(depth, most) if most < k else None
