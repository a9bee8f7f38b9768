from dataclasses import replace

import numpy as np
import pytest

from genrec.data.world import WorldConfig, make_world
from genrec.data.world_catalogue import BRANDS, CATEGORIES, SIDES, STYLES, TIERS

SMALL = WorldConfig(num_items=150, num_users=120)


@pytest.fixture(scope="module")
def world():
    return make_world(SMALL, 0)


@pytest.fixture(scope="module")
def full_world():
    return make_world(WorldConfig(), 0)


def histories_of(world):
    """Every user's items, oldest first."""
    return [world.items[world.users == user] for user in range(world.config.num_users)]


def plain_distribution(world, history):
    """The law of the module's docstring, one item at a time."""
    config, content = world.config, world.law.content
    n1 = history[-1]
    n2 = history[-2] if len(history) > 1 else n1
    n3 = history[-3] if len(history) > 2 else n2
    side = 1 if sum(SIDES[content.category[item]] for item in (n1, n2, n3)) >= 2 else 0
    following = world.law.companion[content.category[n1], side]
    weights = []
    for item in range(config.num_items):
        weight = world.law.popularity[item]
        if content.category[item] == following:
            weight *= config.category_pull
        if content.brand[item] in (content.brand[n1], content.brand[n2], content.brand[n3]):
            weight *= config.brand_pull
        if content.style[item] == content.style[n1]:
            weight *= config.style_pull
        weight *= config.tier_decay ** abs(int(content.tier[item]) - int(content.tier[n1]))
        weights.append(0.0 if item in history else weight)
    free = config.num_items - len(set(history))
    return np.array(
        [
            0.0 if item in history else (1 - config.noise_share) * weight / sum(weights) + config.noise_share / free
            for item, weight in enumerate(weights)
        ]
    )


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_the_distribution_is_the_law_of_the_docstring(world, length):
    histories = [history[:length] for history in histories_of(world)[:10]]
    expected = [plain_distribution(world, history.tolist()) for history in histories]
    np.testing.assert_allclose(world.next_distribution(histories), expected, rtol=1e-12)


def test_a_history_has_the_same_distribution_alone_and_among_others(world):
    histories = [history[:length] for length, history in enumerate(histories_of(world)[:8])]
    together = world.next_distribution(histories)
    for row, history in enumerate(histories):
        np.testing.assert_array_equal(world.next_distribution([history])[0], together[row])


def test_every_distribution_sums_to_one_and_gives_nothing_to_the_history(world):
    histories = histories_of(world)
    distribution = world.next_distribution(histories)
    np.testing.assert_allclose(distribution.sum(axis=1), 1.0, rtol=1e-12)
    for row, history in enumerate(histories):
        assert (distribution[row, history] == 0).all()
        assert np.count_nonzero(distribution[row]) == 150 - len(history)


def test_without_a_history_the_popularity_decides(world):
    popularity = world.law.popularity
    alone = world.next_distribution([np.zeros(0, dtype=np.int64)])[0]
    np.testing.assert_allclose(alone, popularity / popularity.sum(), rtol=1e-12)


def test_the_second_and_third_newest_items_change_what_comes_next(world):
    side = SIDES[world.law.content.category]
    home, away = np.flatnonzero(side == 0)[:2], np.flatnonzero(side == 1)[:3]
    both_home = world.next_distribution([np.array([home[0], home[1], away[0]])])
    third_away = world.next_distribution([np.array([away[1], home[1], away[0]])])
    second_away = world.next_distribution([np.array([home[0], away[2], away[0]])])
    free = np.setdiff1d(np.arange(150), np.concatenate([home, away]))
    for other in (third_away, second_away):
        assert np.abs(both_home - other)[0, free].sum() > 0.1


def test_companions_lead_through_all_sixteen_categories_and_back(world):
    for side in (0, 1):
        category, seen = 0, []
        for _ in range(16):
            category = world.law.companion[category, side]
            seen.append(category)
        assert sorted(seen) == list(range(16)) and seen[-1] == 0


def test_draws_follow_the_distribution():
    # 20,000 first items: each frequency lies within five standard deviations of its probability
    config = WorldConfig(num_items=40, num_users=20_000, min_interactions=1, max_interactions=1)
    world = make_world(config, 3)
    expected = world.next_distribution([np.zeros(0, dtype=np.int64)])[0]
    frequency = np.bincount(world.items, minlength=40) / 20_000
    assert (np.abs(frequency - expected) < 5 * np.sqrt(expected * (1 - expected) / 20_000)).all()


def test_targets_are_as_likely_as_the_law_says(full_world):
    # the share of targets among the ten likeliest items is the mean of those items' probabilities
    histories = histories_of(full_world)[:2000]
    distribution = full_world.next_distribution([history[:-1] for history in histories])
    top = np.argpartition(distribution, -10, axis=1)[:, -10:]
    hits = (top == np.array([history[-1] for history in histories])[:, None]).any(axis=1).mean()
    expected = np.take_along_axis(distribution, top, axis=1).sum(axis=1).mean()
    assert abs(hits - expected) < 5 * np.sqrt(0.25 / 2000)


def test_the_oracle_finds_between_a_quarter_and_half_of_the_targets_and_popularity_a_sixth_at_most(full_world):
    histories = histories_of(full_world)
    targets = np.array([history[-1] for history in histories])
    distribution = full_world.next_distribution([history[:-1] for history in histories])
    above = (distribution > distribution[np.arange(5000), targets][:, None]).sum(axis=1)
    oracle = (above < 10).mean()
    popular = np.argsort(-np.bincount(np.concatenate([history[:-2] for history in histories]), minlength=2000))[:10]
    assert 0.25 < oracle < 0.5
    assert np.isin(targets, popular).mean() < 1 / 6


def test_the_same_seed_makes_the_same_world_and_another_seed_another(world):
    again, other = make_world(SMALL, 0), make_world(SMALL, 1)
    for name in ("user_id", "item_id", "time"):
        np.testing.assert_array_equal(world.interactions_table[name], again.interactions_table[name])
    assert world.items_table == again.items_table
    assert world.items_table["title"] != other.items_table["title"]


def test_more_users_leave_the_items_and_their_law_as_they_are(world):
    larger = make_world(replace(SMALL, num_users=130), 0)
    assert larger.items_table == world.items_table
    np.testing.assert_array_equal(larger.law.popularity, world.law.popularity)
    np.testing.assert_array_equal(larger.law.companion, world.law.companion)


def test_users_have_eight_to_sixteen_different_items_in_the_order_of_time(world):
    assert {len(history) for history in histories_of(world)} <= set(range(8, 17))
    for user, history in enumerate(histories_of(world)):
        assert len(set(history.tolist())) == len(history)
        assert (np.diff(world.times[world.users == user]) >= 60).all()
    assert world.times.min() >= 1_672_531_200


def test_the_texts_tell_what_the_law_reads(world):
    content, fields = world.law.content, world.fields
    for item in range(150):
        assert fields["categories"][item].split(" > ")[0] == list(CATEGORIES)[content.category[item]]
        assert fields["brand"][item] == BRANDS[content.brand[item]]
        for text in (fields["title"][item], fields["description"][item]):
            assert BRANDS[content.brand[item]] in text
            assert STYLES[content.style[item]] in text.lower()
            assert TIERS[content.tier[item]] in text


def test_titles_are_unique_and_every_item_has_a_text_in_every_field(full_world):
    assert len(set(full_world.fields["title"])) == 2000
    for texts in full_world.fields.values():
        assert len(texts) == 2000 and all(texts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_items": 16},
        {"num_users": 0},
        {"min_interactions": 0},
        {"min_interactions": 17},
        {"num_brands": 25},
        {"category_pull": 0.5},
        {"brand_pull": float("inf")},
        {"style_pull": float("nan")},
        {"tier_decay": 0.0},
        {"popularity_spread": -1.0},
        {"noise_share": 1.5},
    ],
)
def test_a_config_that_makes_no_world_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(WorldConfig(), **wrong)


def test_histories_that_cannot_be_are_refused(world):
    with pytest.raises(ValueError, match=r"history 1 must hold item indexes in 0\.\.149"):
        world.next_distribution([np.array([0]), np.array([150])])
    with pytest.raises(ValueError, match="all 150 items"):
        world.next_distribution([np.arange(150)])
