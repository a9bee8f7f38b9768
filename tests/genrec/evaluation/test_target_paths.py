"""NLL and survival against the generator's own forward pass, and against a search over plain tuples."""

from functools import partial

import numpy as np
import pytest
import torch

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.evaluate import rank_cases
from genrec.evaluation.target_paths import follow_targets, survival_by_level, target_nll
from genrec.generator.search_model import SearchModel
from genrec.recommendation.recommender import RecommendationConfig, Recommender

RANDOM = np.random.default_rng(3)
LENGTHS = [3, 9, 4, 5, 7, 3, 6, 8]
INTERACTIONS = Interactions(
    user_ids=np.array([f"u{user}" for user in range(len(LENGTHS))]),
    item_ids=np.array([f"i{row:02d}" for row in range(40)]),
    offsets=np.cumsum([0, *LENGTHS]).astype(np.int64),
    items=RANDOM.integers(0, 40, size=sum(LENGTHS)).astype(np.int32),
)
CASES = Cases(np.arange(len(LENGTHS)), INTERACTIONS.offsets[1:] - 1)


@pytest.fixture
def recommender(small_generator, prefix_trie, catalogue):
    return Recommender.of(
        small_generator(), prefix_trie, catalogue, RecommendationConfig(batch_size=3, candidates=1, score="joint")
    )


def plain_depth(scores_of_prefixes, target, beam_size):
    """Levels that a target's codes stay among the best `beam_size` prefixes, each grown from the level before."""
    beam = {()}
    for depth in range(1, len(target) + 1):
        grown = {prefix: score for prefix, score in scores_of_prefixes[depth].items() if prefix[:-1] in beam}
        beam = set(sorted(grown, key=lambda prefix: -grown[prefix])[:beam_size])
        if tuple(target[:depth]) not in beam:
            return depth - 1
    return len(target)


@torch.no_grad()
def scores_of_prefixes(generator, codes, history):
    """Depth -> prefix -> log-probability, teacher-forced for every item of the catalogue."""
    targets = torch.full((len(codes), len(history)), -1)
    targets[:, -1] = torch.arange(len(codes))
    logits = generator(torch.tensor(history).expand(len(codes), -1), targets).code_logits
    scores = {depth: {} for depth in range(1, codes.shape[1] + 1)}
    for row, own in enumerate(codes):
        total = 0.0
        for level, code in enumerate(own):
            total += float(logits[level][row].log_softmax(-1)[code])
            scores[level + 1][tuple(own[: level + 1])] = total
    return scores


@torch.no_grad()
def test_nll_is_that_of_the_teacher_forced_forward_pass(recommender, codes):
    paths = follow_targets(recommender, INTERACTIONS, CASES, beam_sizes=(5,))
    for case, end in enumerate(CASES.ends):
        history = INTERACTIONS.items[INTERACTIONS.offsets[case] : end][-8:].tolist()
        target = int(INTERACTIONS.items[end])
        wanted = torch.full((1, len(history)), -1)
        wanted[0, -1] = target
        logits = recommender.generator(torch.tensor([history]), wanted).code_logits
        plain = [-float(level[0].log_softmax(-1)[code]) for level, code in zip(logits, codes[target], strict=True)]
        assert paths.nll[case].tolist() == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3, 10])
def test_survival_is_that_of_a_search_over_every_prefix(recommender, codes, beam_size):
    survived = follow_targets(recommender, INTERACTIONS, CASES, beam_sizes=(beam_size,)).survived[beam_size]
    for case, end in enumerate(CASES.ends):
        history = INTERACTIONS.items[INTERACTIONS.offsets[case] : end][-8:].tolist()
        scores = scores_of_prefixes(recommender.generator, codes, history)
        assert survived[case] == plain_depth(scores, codes[INTERACTIONS.items[end]], beam_size)
    assert 0 < survived.sum() < 3 * len(survived)  # some are lost, some are kept


def test_a_beam_as_wide_as_the_catalogue_loses_nothing_and_a_wider_one_never_more(recommender):
    paths = follow_targets(recommender, INTERACTIONS, CASES, beam_sizes=(2, 6, 40))
    assert paths.survived[40].tolist() == [3] * len(LENGTHS)
    assert survival_by_level(paths.survived[40], 3) == [1.0, 1.0, 1.0]
    for size in (2, 6):
        shares = survival_by_level(paths.survived[size], 3)
        assert sorted(shares, reverse=True) == shares
    assert (paths.survived[2] <= paths.survived[6]).all()


def test_what_survives_every_level_is_among_the_candidates(recommender):
    ranks = rank_cases(recommender, INTERACTIONS, CASES, exclude_history=False, beam_size=6)
    survived = follow_targets(recommender, INTERACTIONS, CASES, beam_sizes=(6,)).survived[6]
    assert ranks.among_candidates.tolist() == (survived == 3).tolist()


def test_shares_by_level_count_who_came_so_far():
    assert survival_by_level(np.array([0, 1, 3, 3]), 3) == [0.75, 0.5, 0.5]


def test_nll_of_a_model_that_knows_nothing_is_the_logarithm_of_the_number_of_rivals(
    small_generator, prefix_trie, codes
):
    generator = small_generator()
    with torch.no_grad():
        for head in generator.heads:
            head.weight.zero_()
            head.bias.zero_()
    model = SearchModel(generator)
    read = model.read_history(torch.tensor([[3, 9], [5, -1]]))
    targets, trie = np.array([0, 17]), prefix_trie.to("cpu")
    ask = partial(target_nll, model, trie, read, positions=trie.positions(targets))
    np.testing.assert_allclose(ask(score="joint").numpy(), np.log([[7, 5, 3]] * 2), rtol=1e-6)
    children = [
        [len({code[level] for code in codes if (code[:level] == own[:level]).all()}) for level in range(3)]
        for own in codes[targets]
    ]
    np.testing.assert_allclose(ask(score="catalog").numpy(), np.log(children), rtol=1e-6, atol=1e-6)


def test_progress_counts_cases(recommender):
    seen = []
    follow_targets(recommender, INTERACTIONS, CASES, beam_sizes=(2,), progress=lambda *counts: seen.append(counts))
    assert seen == [(3, 8), (6, 8), (8, 8)]
