"""The embedded world: a made-up shop whose shoppers follow a known law, so that the best possible recall is known too.

The law. Let `n1`, `n2`, `n3` be the newest, second newest and third newest item of a history `h` (in a shorter history
its oldest item stands in for the missing ones). The next item is `i` with probability

    P(i | h) = [i not in h] * ((1 - noise_share) * w(i | h) / sum_j w(j | h)  +  noise_share / (num_items - |h|))
    w(i | h) = [i not in h] * popularity(i)
               * category_pull  if category(i) = companion[category(n1), majority(side(n1), side(n2), side(n3))]
               * brand_pull     if brand(i) is the brand of n1, n2 or n3
               * style_pull     if style(i) = style(n1)
               * tier_decay ^ |tier(i) - tier(n1)|

Every category has a side, 0 for the home and 1 for away from it: where the shopper's last three items mostly belong
decides what follows a category. `companion[:, side]` leads from each category to the next one on a seeded cycle through
all of them. `popularity` is log-normal. Without a history P(i) is the popularity's share alone. Nobody takes an item
twice.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from genrec.data.world_catalogue import BRANDS, SIDES, STYLES, TIERS, Content, draw_content, item_fields

_FIRST_DAY_UNIX_S = 1_672_531_200  # 2023-01-01, the day on which the shop opens
_DAY_S = 86_400
_CASES_PER_CHUNK = 256


@dataclass(frozen=True)
class WorldConfig:
    """How large the world is, and how strong each part of its law (see the module's docstring).

    min_interactions, max_interactions: of one user; every number between is as likely.
    num_brands: of the brands that there are names for.
    category_pull, brand_pull, style_pull: times as likely as without the match; 1: no pull.
    tier_decay: factor per step between two price tiers; 1: the price does not matter.
    popularity_spread: standard deviation of the logarithm of an item's popularity.
    noise_share: of the interactions that pay no heed to the law.

    With these figures an oracle that knows the law has a recall@10 of about .46, counting of about .2.
    """

    num_items: int = 2000
    num_users: int = 5000
    min_interactions: int = 8
    max_interactions: int = 16
    num_brands: int = 10
    category_pull: float = 200.0
    brand_pull: float = 5.0
    style_pull: float = 2.0
    tier_decay: float = 0.85
    popularity_spread: float = 1.2
    noise_share: float = 0.04

    def __post_init__(self) -> None:
        if not 1 <= self.min_interactions <= self.max_interactions < self.num_items:
            raise ValueError(
                "world: 1 <= min_interactions <= max_interactions < num_items must hold, but they are "
                f"{self.min_interactions}, {self.max_interactions} and {self.num_items}"
            )
        if self.num_users < 1:
            raise ValueError(f"world.num_users must be 1 or more, not {self.num_users}")
        if not 1 <= self.num_brands <= len(BRANDS):
            raise ValueError(f"world.num_brands must lie in 1..{len(BRANDS)}, not {self.num_brands}")
        for name in ("category_pull", "brand_pull", "style_pull"):
            if not 1 <= getattr(self, name) < math.inf:
                raise ValueError(f"world.{name} must be 1 (no pull) or more, and finite, not {getattr(self, name)}")
        if not 0 < self.tier_decay <= 1:
            raise ValueError(f"world.tier_decay must lie above 0 and be at most 1, not {self.tier_decay}")
        if not 0 <= self.popularity_spread <= 10:
            raise ValueError(f"world.popularity_spread must lie in 0..10, not {self.popularity_spread}")
        if not 0 <= self.noise_share <= 1:
            raise ValueError(f"world.noise_share must lie in 0..1, not {self.noise_share}")


@dataclass(frozen=True)
class Law:
    """The law's factors as tables over the items, ready to be gathered and multiplied."""

    content: Content
    companion: Int[ndarray, "categories sides"]
    popularity: Float[ndarray, " items"]
    category_factor: Float[ndarray, "categories sides items"]
    brand_factor: Float[ndarray, "brands items"]
    style_factor: Float[ndarray, "styles items"]
    tier_factor: Float[ndarray, "tiers items"]
    noise_share: float

    def next_distribution(self, histories: Int[ndarray, "cases length"]) -> Float[ndarray, "cases items"]:
        """P(next item | history), float64; histories oldest first, right-aligned, -1 for padding on the left."""
        weight = np.tile(self.popularity, (len(histories), 1))
        known = np.asarray((histories >= 0).any(axis=1))
        if known.any():
            weight[known] *= self._pull(histories[known])
        free = np.ones(weight.shape, dtype=bool)
        case, column = np.nonzero(histories >= 0)
        free[case, histories[case, column]] = False
        noise = self.noise_share * known[:, None]
        weight *= free
        weight *= (1 - noise) / weight.sum(axis=1, keepdims=True)
        weight += free * (noise / free.sum(axis=1, keepdims=True))
        return weight

    def _pull(self, histories: Int[ndarray, "cases length"]) -> Float[ndarray, "cases items"]:
        newest, second, third = _last_three(histories)
        category, brand = self.content.category, self.content.brand
        sides = np.stack([SIDES[category[item]] for item in (newest, second, third)])
        pull = self.category_factor[category[newest], np.median(sides, axis=0).astype(np.int64)]
        pull *= functools.reduce(np.maximum, (self.brand_factor[brand[item]] for item in (newest, second, third)))
        pull *= self.style_factor[self.content.style[newest]]
        pull *= self.tier_factor[self.content.tier[newest]]
        return pull


@dataclass(frozen=True)
class World:
    """A shop: its items, who took what and when, and the law behind it."""

    config: WorldConfig
    law: Law
    item_ids: Shaped[ndarray, " items"]
    fields: dict[str, list[str]]
    users: Int[ndarray, " interactions"]
    items: Int[ndarray, " interactions"]
    times: Int[ndarray, " interactions"]

    @cached_property
    def interactions_table(self) -> dict[str, ndarray]:
        """Columns user_id, item_id (strings) and time (unix seconds), by user, oldest first."""
        user_ids = np.array([f"U{user:05d}" for user in range(self.config.num_users)])
        return {"user_id": user_ids[self.users], "item_id": self.item_ids[self.items], "time": self.times}

    @cached_property
    def items_table(self) -> dict[str, list[str]]:
        """Columns item_id and the item fields (title, brand, categories, price, ...), one row an item."""
        return {"item_id": self.item_ids.tolist(), **self.fields}

    def next_distribution(self, histories: Sequence[Int[ndarray, " _"]]) -> Float[ndarray, "cases items"]:
        """The true P(next item | history), float64, every row summing to 1.

        histories: world item indexes, oldest first, whole (their items are never taken again); an empty one gives the
            popularity.

        Raises:
            ValueError: an index outside the world, or a history that leaves nothing to take.
        """
        padded = _right_aligned(histories, num_items=self.config.num_items)
        parts = [self.law.next_distribution(padded[at : at + _CASES_PER_CHUNK]) for at in _chunks(len(padded))]
        return np.concatenate(parts) if parts else np.zeros((0, self.config.num_items))


def make_world(config: WorldConfig, seed: int) -> World:
    """The world of that seed: the same items, law and interactions on every call."""
    # one stream for each part, so that more users do not change the items
    items_rng, law_rng, users_rng = (np.random.default_rng([seed, part]) for part in range(3))
    content = draw_content(config.num_items, config.num_brands, items_rng)
    law = _draw_law(config, content, law_rng)
    lengths = users_rng.integers(config.min_interactions, config.max_interactions + 1, size=config.num_users)
    taken = _simulate(law, lengths, users_rng)
    users, steps = np.nonzero(taken >= 0)
    item_ids = np.array([f"I{item:05d}" for item in range(config.num_items)])
    times = _draw_times(taken.shape, users_rng)[users, steps]
    return World(config, law, item_ids, item_fields(content), users, taken[users, steps], times)


def _draw_law(config: WorldConfig, content: Content, rng: np.random.Generator) -> Law:
    companion = np.stack([_successors(rng.permutation(len(SIDES))) for _ in range(2)], axis=1)
    tiers = np.arange(len(TIERS))
    return Law(
        content=content,
        companion=companion,
        popularity=np.exp(config.popularity_spread * rng.standard_normal(config.num_items)),
        category_factor=np.where(companion[:, :, None] == content.category, config.category_pull, 1.0),
        brand_factor=np.where(np.arange(config.num_brands)[:, None] == content.brand, config.brand_pull, 1.0),
        style_factor=np.where(np.arange(len(STYLES))[:, None] == content.style, config.style_pull, 1.0),
        tier_factor=config.tier_decay ** np.abs(tiers[:, None] - content.tier),
        noise_share=config.noise_share,
    )


def _successors(cycle: Int[ndarray, " categories"]) -> Int[ndarray, " categories"]:
    """What comes after each category on a cycle through all of them."""
    following = np.empty_like(cycle)
    following[cycle] = np.roll(cycle, -1)
    return following


def _simulate(law: Law, lengths: Int[ndarray, " users"], rng: np.random.Generator) -> Int[ndarray, "users steps"]:
    """What each user takes, oldest first, drawn from the law; -1 after the user's last item."""
    taken = np.full((len(lengths), int(lengths.max())), -1, dtype=np.int64)
    for step in range(taken.shape[1]):
        active = np.flatnonzero(lengths > step)
        for at in _chunks(len(active)):
            users = active[at : at + _CASES_PER_CHUNK]
            taken[users, step] = _sample(law.next_distribution(taken[users, :step]), rng)
    return taken


def _sample(distribution: Float[ndarray, "cases items"], rng: np.random.Generator) -> Int[ndarray, " cases"]:
    cumulated = distribution.cumsum(axis=1)
    total = cumulated[:, -1]
    # rounding must not reach the total: the item there could have probability 0
    drawn = np.minimum(rng.random(len(distribution)) * total, np.nextafter(total, 0))
    return (cumulated <= drawn[:, None]).sum(axis=1)


def _draw_times(shape: tuple[int, int], rng: np.random.Generator) -> Int[ndarray, "users steps"]:
    """Unix seconds: a start within the first year, then gaps of a minute or more, ten days on average."""
    gaps = 60 + (rng.exponential(10 * _DAY_S, size=shape)).astype(np.int64)
    gaps[:, 0] = rng.integers(0, 365 * _DAY_S, size=shape[0])
    return _FIRST_DAY_UNIX_S + gaps.cumsum(axis=1)


def _last_three(histories: Int[ndarray, "cases length"]) -> tuple[Int[ndarray, " cases"], ...]:
    """The newest, second and third newest items; the oldest one stands in for those that a short history lacks."""
    newest = histories[:, -1]
    second = histories[:, -2] if histories.shape[1] > 1 else newest
    second = np.where(second >= 0, second, newest)
    third = histories[:, -3] if histories.shape[1] > 2 else second
    return newest, second, np.where(third >= 0, third, second)


def _right_aligned(histories: Sequence[Int[ndarray, " _"]], *, num_items: int) -> Int[ndarray, "cases length"]:
    padded = np.full((len(histories), max(map(len, histories), default=0)), -1, dtype=np.int64)
    for row, history in enumerate(histories):
        if len(history) and not 0 <= history.min() <= history.max() < num_items:
            raise ValueError(
                f"history {row} must hold item indexes in 0..{num_items - 1}, but holds {history.tolist()}"
            )
        if len(np.unique(history)) == num_items:
            raise ValueError(f"history {row} holds all {num_items} items of the world: there is no next one")
        padded[row, padded.shape[1] - len(history) :] = history
    return padded


def _chunks(num_cases: int) -> range:
    return range(0, num_cases, _CASES_PER_CHUNK)
