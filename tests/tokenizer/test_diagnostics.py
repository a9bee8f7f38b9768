import json
import logging
import math

import numpy as np
import pytest

from tokenizer import SemanticIDs, health
from tokenizer.diagnostics import mean_cosine, relative_error, warn_of_collapse

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


def test_relative_error_is_zero_for_the_input_and_one_for_the_mean():
    embeddings = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    assert relative_error(embeddings, embeddings) == 0
    mean = np.tile(embeddings.mean(axis=0), (20, 1))
    assert relative_error(embeddings, mean) == pytest.approx(1)


def test_cosine_is_one_for_a_longer_twin_and_zero_for_a_right_angle_or_nothing():
    ones = np.array([[1, 0]], dtype=np.float32)
    assert mean_cosine(ones, 3 * ones) == pytest.approx(1)
    assert mean_cosine(ones, np.array([[0, 2]], dtype=np.float32)) == 0
    assert mean_cosine(ones, np.zeros((1, 2), dtype=np.float32)) == 0


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


def test_healthy_codes_raise_no_alarm():
    assert health(np.arange(64)[:, None] % 16, (16,)).alarm is None


def test_the_line_and_the_dict_tell_the_same_and_the_dict_is_json():
    ids = SemanticIDs.from_codes(CODES, level_sizes=(2, 4))
    embeddings = np.eye(4, dtype=np.float32)
    figures = health(CODES, (2, 4), ids=ids, embeddings=embeddings, reconstruction=embeddings)
    assert figures.line() == (
        "2x4 codes, usage 100/75 %, perplexity 2/3, collisions 75.0/50.0 %, unique 50.0 %, extra code 0..1, "
        "relative error 0.000, cosine 1.000"
    )
    assert json.loads(json.dumps(figures.as_dict()))["extra_codes"] == 2


def test_a_reconstruction_without_embeddings_is_refused():
    with pytest.raises(ValueError, match="both or none"):
        health(CODES, (2, 4), reconstruction=np.eye(4, dtype=np.float32))


def test_codes_of_another_length_than_the_level_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(items, 3\)"):
        health(CODES, (2, 4, 8))
