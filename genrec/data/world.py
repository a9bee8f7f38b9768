"""The embedded world: a made-up shop whose shoppers follow a law that is known, so that the best possible recall is known too.

The law. Let `n1`, `n2`, `n3` be the newest, second newest and third newest item of a history `h` (in a shorter history its oldest
item stands in for the missing ones). The next item is `i` with probability

    P(i | h) = [i not in h] * ((1 - noise_share) * w(i | h) / sum_j w(j | h)  +  noise_share / (num_items - |h|))
    w(i | h) = [i not in h] * popularity(i)
               * category_pull  if category(i) = companion[category(n1), majority(side(n1), side(n2), side(n3))]
               * brand_pull     if brand(i) is the brand of n1, n2 or n3
               * style_pull     if style(i) = style(n1)
               * tier_decay ^ |tier(i) - tier(n1)|

Categories have a side: 0 for the home, 1 for away from it. `companion[:, side]` is a seeded permutation of the categories for each
side: what follows a category depends on where the shopper's last three items belong. `popularity` is log-normal. Without a history
`P(i)` is the popularity alone. Nobody takes an item twice.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from genrec.data.world_catalogue import CATEGORIES, STYLES, TIERS, Content, draw_content, item_fields

_FIRST_DAY_UNIX_S = 1_672_531_200  # 2023-01-01, the day on which the shop opens
_DAY_S = 86_400
_CASES_PER_CHUNK = 256


@dataclass(frozen=True)
class WorldConfig:
    """How large the world is and how strong each part of its law; the module's docstring has the law."""

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
        if min(self.category_pull, self.brand_pull, self.style_pull) < 1:
            raise ValueError("world.category_pull, brand_pull and style_pull must be 1 (no pull) or more")
        if not 0 < self.tier_decay <= 1 or self.popularity_spread < 0 or not 0 <= self.noise_share <= 1:
            raise ValueError("world: 0 < tier_decay <= 1, popularity_spread >= 0 and 0 <= noise_share <= 1 must hold")


@dataclass(frozen=True)
class Law:
    """The law's factors as tables over the items, ready to be gathered and multiplied."""

    content: Content
    popularity: Float[ndarray, " items"]
    category_factor: Float[ndarray, "categories sides items"]
    brand_factor: Float[ndarray, "brands items"]
    style_factor: Float[ndarray, "styles items"]
    tier_factor: Float[ndarray, "tiers items"]
    noise_share: float

    def next_distribution(self, histories: Int[ndarray, "cases length"]) -> Float[ndarray, "cases items"]:
        """P(next item | history), float64; histories oldest first, right-aligned, -1 for padding on the left."""
        weight = np.tile(self.popularity, (len(histories), 1))
        known = (histories >= 0).any(axis=1)
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
        away = sum((category[item] >= len(CATEGORIES) // 2).astype(np.int64) for item in (newest, second, third))
        pull = self.category_factor[category[newest], (away >= 2).astype(np.int64)]
        pull *= functools.reduce(np.maximum, (self.brand_factor[brand[item]] for item in (newest, second, third)))
        pull *= self.style_factor[self.content.style[newest]]
        pull *= self.tier_factor[self.content.tier[newest]]
        return pull


@dataclass(frozen=True)
class World:
    """A shop: its items, who took what and when, and the law behind it."""

    config: WorldConfig
    law: Law
    item_ids: ndarray
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

        histories: world item indexes, oldest first, whole (their items are never taken again); an empty one gives the popularity.
        """
        padded = _right_aligned(histories)
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
    companion = np.stack([_successors(rng.permutation(len(CATEGORIES))) for _ in range(2)], axis=1)
    tiers = np.arange(len(TIERS))
    return Law(
        content=content,
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
    """Unix seconds: a start within the first year, then at least a minute and on average ten days between two interactions."""
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


def _right_aligned(histories: Sequence[Int[ndarray, " _"]]) -> Int[ndarray, "cases length"]:
    padded = np.full((len(histories), max(map(len, histories), default=0)), -1, dtype=np.int64)
    for row, history in enumerate(histories):
        padded[row, padded.shape[1] - len(history) :] = history
    return padded


def _chunks(num_cases: int) -> range:
    return range(0, num_cases, _CASES_PER_CHUNK)
