import itertools

import numpy as np
import pytest

from tokenizer.joint_codebooks import beam_codes, code_corrections, least_squares_codebooks, refined_codebooks
from tokenizer.residual_levels import fit_levels


def vectors(num_items=120, dim=4):
    return np.random.default_rng(0).normal(size=(num_items, dim)).astype(np.float32)


def squared_error(items, codebooks, codes):
    sums = sum(codebook[codes[:, level]] for level, codebook in enumerate(codebooks))
    return np.square(items - sums).sum()


def test_solved_codebooks_are_those_of_a_dense_least_squares():
    codes = np.random.default_rng(1).integers(0, 5, size=(120, 2))
    chosen = np.zeros((120, 10))
    for row, (first, second) in enumerate(codes):
        chosen[row, [first, 5 + second]] = 1
    expected = chosen @ np.linalg.lstsq(chosen, vectors().astype(np.float64), rcond=None)[0]
    solved = least_squares_codebooks(vectors(), codes, 5, ridge=1e-6)
    assert np.allclose(solved[0][codes[:, 0]] + solved[1][codes[:, 1]], expected, atol=1e-3)


def test_a_full_beam_finds_the_best_of_all_codes():
    codebooks = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    tuples = np.array(list(itertools.product(range(4), repeat=3)))
    for row, codes in enumerate(beam_codes(vectors(), codebooks, beam_size=16)):
        errors = [squared_error(vectors()[row], codebooks, one[None]) for one in tuples]
        assert codes.tolist() == tuples[np.argmin(errors)].tolist()


def test_a_beam_of_one_codes_as_the_levels_do():
    levels = fit_levels(vectors(), [None, None], 8, seed=0, iterations=5)
    landmarks = np.stack([level.landmarks for level in levels.levels])
    same = [type(level)(None, book, book) for level, book in zip(levels.levels, landmarks, strict=True)]
    assert np.array_equal(beam_codes(vectors(), landmarks, beam_size=1), type(levels)(tuple(same)).encode(vectors()))


def test_refinement_lowers_the_error():
    levels = fit_levels(vectors(), [None, None], 8, seed=0, iterations=5)
    before = squared_error(vectors(), [level.centroids for level in levels.levels], levels.encode(vectors()))
    refined = refined_codebooks(vectors(), levels, rounds=4, beam_size=8)
    codebooks = np.stack([level.centroids for level in refined.levels])
    assert squared_error(vectors(), codebooks, beam_codes(vectors(), codebooks, beam_size=8)) < 0.95 * before


@pytest.mark.parametrize("beam_size", [1, 3])
def test_rows_coded_alone_are_coded_as_among_others(beam_size):
    codebooks = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    together = beam_codes(vectors(), codebooks, beam_size=beam_size)
    alone = [beam_codes(vectors()[row : row + 1], codebooks, beam_size=beam_size)[0] for row in range(10)]
    assert np.array_equal(together[:10], np.stack(alone))


def test_corrections_lower_the_error_and_vanish_where_there_is_none():
    codes = np.random.default_rng(1).integers(0, 5, size=(120, 2))
    corrections = code_corrections(vectors(), np.zeros_like(vectors()), codes, 5)
    assert squared_error(vectors(), corrections, codes) < np.square(vectors()).sum()
    assert not code_corrections(vectors(), vectors(), codes, 5).any()
