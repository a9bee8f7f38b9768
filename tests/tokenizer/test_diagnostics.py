import json
import logging
import math
import time

import numpy as np
import pytest

from tokenizer import SemanticIDs, health
from tokenizer.diagnostics import warn_of_collapse

CODES = np.array([[0, 0], [0, 0], [0, 1], [1, 2]])


def test_usage_counts_codes_that_some_item_has():
    figures = health(CODES, (2, 4))
    assert figures.codes_used == (2, 3)
    assert figures.usage == (1.0, 0.75)


def test_usage_is_measured_against_the_items_where_they_are_fewer_than_the_codes():
    assert health(np.array([[0], [5]]), (256,)).usage == (1.0,)


def test_perplexity_of_even_codes_is_their_number_and_of_one_code_is_one():
    assert health(np.array([[0], [1], [2]]), (8,)).perplexity == pytest.approx((3.0,))
    assert health(np.array([[4], [4]]), (8,)).perplexity == pytest.approx((1.0,))


def test_perplexity_of_three_to_one_is_exp_of_its_entropy():
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert health(CODES, (2, 4)).perplexity[0] == pytest.approx(math.exp(entropy))


def test_dead_codes_are_those_that_no_item_has():
    assert health(CODES, (2, 4)).dead_codes == (0, 1)


def test_gini_of_each_level_counts_dead_codes():
    assert health(CODES, (2, 4)).gini == pytest.approx((0.25, 0.375))


def test_prefixes_are_counted_once_however_many_items_share_them():
    figures = health(CODES, (2, 4))
    assert figures.distinct_prefixes == (2, 3)
    assert figures.items_per_prefix == (2.0, 4 / 3)


def test_collisions_are_items_that_share_their_prefix():
    figures = health(CODES, (2, 4))
    assert figures.prefix_collisions == (0.75, 0.5)
    assert figures.largest_prefix == (3, 2)
    assert figures.unique_share == 0.5


def test_collisions_agree_with_a_plain_count_of_prefixes():
    codes = np.random.default_rng(0).integers(0, 5, size=(200, 3))
    figures = health(codes, (5, 5, 5))
    for level in range(3):
        prefixes = [tuple(row[: level + 1]) for row in codes.tolist()]
        assert figures.prefix_collisions[level] == np.mean([prefixes.count(prefix) > 1 for prefix in prefixes])
        assert figures.distinct_prefixes[level] == len(set(prefixes))
        assert figures.largest_prefix[level] == max(map(prefixes.count, prefixes))


def test_codes_of_the_last_level_count_under_their_own_prefix_only():
    codes = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])  # every pair once, though each code comes twice
    assert health(codes, (2, 2)).unique_share == 1


def test_the_extra_code_tells_all_items_apart_and_moves_none():
    figures = health(CODES, (2, 4), ids=SemanticIDs.from_codes(CODES, level_sizes=(2, 4)))
    assert (figures.id_length, figures.extra_codes, figures.shared_ids, figures.moved_items) == (3, 2, 0, 0)


def test_kept_collisions_are_shared_ids():
    figures = health(CODES, (2, 4), ids=SemanticIDs.from_codes(CODES, level_sizes=(2, 4), collisions="keep"))
    assert (figures.id_length, figures.extra_codes, figures.shared_ids) == (2, 0, 2)
    assert "2 items share their ID: a generator cannot tell them apart" in figures.notes


def test_moved_items_have_other_codes_in_the_table_than_the_tokenizer_gave():
    moved = CODES.copy()
    moved[1] = 0, 3
    figures = health(CODES, (2, 4), ids=SemanticIDs.from_codes(moved, level_sizes=(2, 4)))
    assert (figures.moved_items, figures.shared_ids, figures.id_length) == (1, 0, 2)
    assert any("25.0 % of the items were moved" in note for note in figures.notes)


def test_a_table_of_other_items_is_refused():
    with pytest.raises(ValueError, match="IDs of 4 items for codes of 3"):
        health(CODES[:3], (2, 4), ids=SemanticIDs.from_codes(CODES))


def test_collapse_is_a_logged_warning_that_says_what_to_do(caplog):
    codes = np.zeros((100, 2), dtype=np.int64)
    codes[:, 0] = np.arange(100) % 16
    with caplog.at_level(logging.WARNING, logger="tokenizer"):
        warn_of_collapse(codes, (16, 16))
    assert "level 1 uses 1 of 16" in caplog.text
    assert "ResidualKMeans" in caplog.text


def test_one_code_that_holds_nearly_everything_is_a_collapse_though_all_are_used():
    codes = np.concatenate([np.arange(16), np.zeros(984, dtype=np.int64)])[:, None]
    alarm = health(codes, (16,)).alarm
    assert alarm is not None and "uses 16 of 16" in alarm
    assert "standardise or whiten" in alarm


def test_an_alarm_for_few_codes_gives_other_advice_than_one_for_uneven_codes():
    alarm = health(np.arange(100)[:, None] % 5, (16,)).alarm
    assert alarm is not None and "uses 5 of 16" in alarm
    assert "lower learning_rate" in alarm and "outliers" not in alarm


def test_healthy_codes_raise_no_alarm():
    assert health(np.arange(64)[:, None] % 16, (16,)).alarm is None


def healthy_codes():
    return np.stack([np.arange(64) // 8, np.arange(64) % 8], axis=1)


def test_healthy_codes_get_no_notes():
    figures = health(healthy_codes(), (8, 8), categories=[f"shelf {code}" for code in healthy_codes()[:, 0]])
    assert figures.notes == ()


def test_notes_name_level_figure_and_remedy():
    uneven = np.concatenate([np.arange(32), np.zeros(100, dtype=np.int64)])
    figures = health(np.stack([np.arange(132) % 58, uneven], axis=1), (64, 32))
    assert figures.alarm is None
    [note] = [note for note in figures.notes if "perplexity" in note]
    assert note.startswith("level 1: perplexity 4 is far below its 32 codes") and "fewer projection axes" in note
    assert any(
        note.endswith("level more, a larger codebook_size or fewer projection axes tell them apart by content")
        for note in figures.notes
    )
    assert not any("dead" in note for note in figures.notes)  # 6 of 64: under a tenth


def test_a_note_says_how_many_codes_are_dead_and_when_there_are_more_codes_than_items():
    assert any(
        "level 0: 25.0 % of the codes are dead" in note for note in health(np.arange(48)[:, None] % 12, (16,)).notes
    )
    assert any("16 codes for 12 items" in note for note in health(np.arange(12)[:, None], (16,)).notes)


def test_a_first_level_that_knows_nothing_of_the_categories_is_noted():
    codes = np.stack([np.arange(400) % 2, np.arange(400) // 2], axis=1)
    figures = health(codes, (2, 200), categories=["pen" if row // 2 % 2 else "ink" for row in range(400)])
    assert figures.category_agreement == pytest.approx(0, abs=1e-9)
    assert any("knows little of the categories" in note for note in figures.notes)


def test_a_reconstruction_worse_than_the_mean_is_noted():
    embeddings = np.array([[1.0], [-1.0]])
    figures = health(np.array([[0], [1]]), (2,), embeddings=embeddings, reconstruction=-embeddings)
    assert figures.relative_error == 4
    assert any("no closer to the embeddings than their mean" in note for note in figures.notes)


def test_the_table_has_a_row_per_level_and_a_line_with_the_rest():
    figures = health(
        CODES,
        (2, 4),
        ids=SemanticIDs.from_codes(CODES, level_sizes=(2, 4)),
        embeddings=np.eye(4),
        reconstruction=np.eye(4),
        categories=["ink", "ink", "ink", "pen"],
    )
    assert figures.table().splitlines()[:4] == [
        "level  size  used  dead  perplexity  gini  prefixes  items each  sharing  largest",
        "    0     2     2     0         1.8  0.25         2         2.0   75.0 %        3",
        "    1     4     3     1         2.8  0.38         3         1.3   50.0 %        2",
        "4 items, unique codes 50.0 %, ID length 3 (extra code 0..1), shared IDs 0, moved 0, relative error 0.000, "
        "cosine 1.000, agreement with categories 1.000 (adjusted for chance 1.000)",
    ]
    assert figures.table().count("note: ") == len(figures.notes) > 0


def test_the_table_ends_with_the_alarm():
    table = health(np.zeros((20, 1), dtype=np.int64), (16,)).table()
    assert "ALARM: codebook collapse: level 0 uses 1 of 16" in table


def test_the_line_and_the_dict_tell_the_same_and_the_dict_is_json():
    ids = SemanticIDs.from_codes(CODES, level_sizes=(2, 4))
    embeddings = np.eye(4, dtype=np.float32)
    figures = health(CODES, (2, 4), ids=ids, embeddings=embeddings, reconstruction=embeddings)
    assert figures.line() == (
        "2x4 codes, usage 100/75 %, perplexity 2/3, collisions 75.0/50.0 %, unique 50.0 %, extra code 0..1, "
        "relative error 0.000, cosine 1.000"
    )
    stored = json.loads(json.dumps(figures.as_dict()))
    assert (stored["extra_codes"], stored["items_per_prefix"], stored["alarm"]) == (2, [2, 4 / 3], None)
    assert stored["notes"] == list(figures.notes)


def test_a_reconstruction_without_embeddings_is_refused():
    with pytest.raises(ValueError, match="both or none"):
        health(CODES, (2, 4), reconstruction=np.eye(4, dtype=np.float32))


def test_codes_of_another_length_than_the_level_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(items, 3\)"):
        health(CODES, (2, 4, 8))


def test_codes_beyond_their_level_are_refused():
    with pytest.raises(ValueError, match="code 2 of row 3 at level 1"):
        health(CODES, (2, 2))


def test_embeddings_of_other_items_are_refused():
    with pytest.raises(ValueError, match="each of the 4 items, but got 3"):
        health(CODES, (2, 4), embeddings=np.eye(3), reconstruction=np.eye(3))


def test_a_hundred_thousand_items_take_less_than_a_few_seconds():
    codes = np.random.default_rng(0).integers(0, 256, size=(100_000, 3))
    started = time.perf_counter()
    figures = health(codes, (256,) * 3, categories=[f"shelf {code}" for code in codes[:, 0] // 8])
    assert time.perf_counter() - started < 5  # a quarter of a second on one core
    assert figures.category_agreement is not None and figures.category_agreement > 0.7
