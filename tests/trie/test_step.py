import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import AllowRows, Bitmap, Conjunction, DenyRows, PrefixTrie
from trie.step import certified, items, start, step


def model(seed: int, prefix: tuple[int, ...], level_size: int) -> np.ndarray:
    """Random logits that are a function of the user and the prefix."""
    return np.random.default_rng([seed, 77, *prefix]).normal(0, 2, level_size).astype(np.float32)


def decode(trie, seeds, *, beam_size, filters=None, score="joint", run=step):
    """The beam search that a generator would run, with the random model in its place."""
    beams = start(trie, len(seeds))
    prefixes = [[()] for _ in seeds]
    for level, size in enumerate(trie.trie.level_sizes):
        logits = np.array(
            [[model(seed, prefix, size) for prefix in mine] for seed, mine in zip(seeds, prefixes, strict=True)]
        )
        logits[~np.isfinite(beams.score.numpy())] = np.nan  # logits of dead beams must not be read
        beams = run(trie, level, beams, torch.from_numpy(logits), beam_size=beam_size, filters=filters, score=score)
        steps = zip(beams.parent.tolist(), beams.code.tolist(), prefixes, strict=True)
        prefixes = [[(*mine[p], c) for p, c in zip(parents, codes, strict=True)] for parents, codes, mine in steps]
    return items(trie, beams, beam_size=beam_size, filters=filters)


def exhaustive(codes, sizes, seed, score):
    """The plain twin: the log-probability of every row, one after the other."""
    rows, result = [tuple(row) for row in codes.tolist()], []
    for row in rows:
        total = -math.log(Counter(rows)[row])
        for level, size in enumerate(sizes):
            logits = model(seed, row[:level], size).astype(np.float64)
            offered = range(size) if score == "joint" else {r[level] for r in rows if r[:level] == row[:level]}
            total += logits[row[level]] - math.log(sum(math.exp(logits[code]) for code in offered))
        result.append(total)
    return np.array(result)


def listed(leaves, user=0):
    """The rows and scores of one user's list, without its empty end."""
    rows, scores = leaves.row[user].tolist(), leaves.score[user].tolist()
    assert all((row == -1) == (score == -math.inf) for row, score in zip(rows, scores, strict=True))
    assert scores == sorted(scores, reverse=True)
    kept = [row for row in rows if row >= 0]
    assert rows == kept + [-1] * (len(rows) - len(kept))
    return kept, scores[: len(kept)]


@st.composite
def problems(draw):
    sizes = draw(st.sampled_from([(3, 3, 3), (4, 2, 5), (2, 300), (6,), (1, 4, 1, 3)]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    codes = np.stack([random.integers(0, size, draw(st.integers(1, 25))) for size in sizes[:1]], axis=1)
    codes = np.concatenate([codes, *[random.integers(0, size, (len(codes), 1)) for size in sizes[1:]]], axis=1)
    return codes, sizes, random


@pytest.mark.parametrize("score", ["joint", "catalog"])
@given(problem=problems())
@settings(max_examples=25, deadline=None)
def test_a_beam_as_wide_as_the_trie_equals_exhaustive_scoring(problem, score):
    codes, sizes, random = problem
    trie = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
    seeds = random.integers(0, 1000, 2).tolist()
    leaves = decode(trie, seeds, beam_size=len(codes) + 3, score=score)
    for user, seed in enumerate(seeds):
        truth = exhaustive(codes, sizes, seed, score)
        rows, scores = listed(leaves, user)
        assert sorted(rows) == list(range(len(codes)))
        assert np.allclose(scores, truth[rows], atol=1e-4)
        assert certified(leaves)[user] == len(codes)
        if score == "catalog":
            assert math.isclose(sum(map(math.exp, scores)), 1, abs_tol=1e-4)


@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_certified_rows_are_the_exact_top_and_one_over_p_beams_suffice(score):
    proven, unproven, missed = 0, 0, 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        sizes = (8, 8, 8)
        codes = random.integers(0, 8, (60, 3))
        trie = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
        truth = np.sort(exhaustive(codes, sizes, seed, score))[::-1]
        leaves = decode(trie, [seed], beam_size=6, score=score)
        _, scores = listed(leaves)
        head = int(certified(leaves)[0])
        assert np.allclose(scores[:head], truth[:head], atol=1e-4)
        proven, unproven = proven + head, unproven + len(scores) - head
        missed += not np.allclose(scores, truth[: len(scores)], atol=1e-4)

        wide = math.ceil(math.exp(-truth[2]) * 1.001)
        _, scores = listed(decode(trie, [seed], beam_size=wide, score=score))
        assert np.allclose(scores[:3], truth[:3], atol=1e-4)
    assert proven > 5  # none of the three is vacuous: some are proven, some are not, and a narrow beam does miss rows
    assert unproven > 5
    assert missed > 5


def test_given_log_probabilities_are_added_up_as_they_are():
    trie = PrefixTrie.from_codes(np.array([[0, 1], [1, 0]])).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.2, 0.3]]]).log(), beam_size=2, score="given")
    assert beams.score.exp().tolist() == [pytest.approx([0.3, 0.2])]  # the other half is for what is no code
    second = torch.tensor([[[0.5, 0.1], [-1.0, 0.9]]]).clamp(min=0).log()
    leaves = items(trie, step(trie, 1, beams, second, beam_size=2, score="given"), beam_size=2)
    assert leaves.row.tolist() == [[0, 1]]
    assert leaves.score.exp().tolist() == [pytest.approx([0.2 * 0.9, 0.3 * 0.5])]


@pytest.mark.parametrize("score", ["joint", "catalog", "given"])
def test_a_stop_code_costs_once_and_the_first_level_has_none(score):
    # IDs 1, 1-0, 0-1-0 and 0-1-1; the last codes of the levels after the first, 2 and 2, are stops.
    codes = np.array([[1, 2, 2], [1, 0, 2], [0, 1, 0], [0, 1, 1]])
    trie = dataclasses.replace(PrefixTrie.from_codes(codes, level_sizes=(2, 3, 3)), has_stop=True).to("cpu")
    beams = start(trie, 1)
    for level, size in enumerate((2, 3, 3)):
        logits = torch.full((1, beams.node.shape[1], size), 1 / size).log()
        beams = step(trie, level, beams, logits, beam_size=4, score=score)
    leaves = items(trie, beams, beam_size=4)
    by_row = dict(zip(leaves.row[0].tolist(), leaves.score[0].exp().tolist(), strict=True))
    if score == "catalog":  # one of two codes at every choice that the catalogue leaves
        assert by_row == pytest.approx({0: 1 / 4, 1: 1 / 4, 2: 1 / 4, 3: 1 / 4})
    else:
        assert by_row == pytest.approx({0: 1 / 6, 1: 1 / 18, 2: 1 / 18, 3: 1 / 18})


def test_bound_is_the_best_score_that_any_step_cut_off():
    # Children of the root with probabilities .5, .3, .2; each has one leaf. A beam of 2 cuts off .2.
    trie = PrefixTrie.from_codes(np.array([[0, 0], [1, 0], [2, 0]])).to("cpu")
    logits = torch.tensor([[[0.5, 0.3, 0.2]]]).log()
    beams = step(trie, 0, start(trie, 1), logits, beam_size=2)
    assert beams.score.exp().tolist() == [pytest.approx([0.5, 0.3])]
    assert beams.bound.exp().tolist() == pytest.approx([0.2])
    leaves = items(trie, step(trie, 1, beams, torch.zeros(1, 2, 1), beam_size=1), beam_size=1)
    assert leaves.bound.exp().tolist() == pytest.approx([0.3])
    assert certified(leaves).tolist() == [1]


def test_rows_of_a_shared_leaf_each_get_the_leaf_score_minus_log_of_their_number():
    trie = PrefixTrie.from_codes(np.array([[1], [0], [1], [1]])).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[0.4, 0.6]]]).log(), beam_size=2)
    leaves = items(trie, beams, beam_size=4)
    assert leaves.row.tolist() == [[1, 0, 2, 3]]
    assert leaves.score.exp().tolist() == [pytest.approx([0.4, 0.2, 0.2, 0.2])]
    deny = DenyRows.from_rows(trie, [[0, 2]])  # the share is that of the catalogue, not of the request
    leaves = items(trie, beams, beam_size=4, filters=deny)
    assert listed(leaves) == ([1, 3], pytest.approx([math.log(0.4), math.log(0.2)]))
    assert items(trie, beams, beam_size=2).bound.exp().tolist() == pytest.approx([0.2])


@given(problem=problems())
@settings(max_examples=25, deadline=None)
def test_filtered_lists_are_the_best_allowed_rows_and_no_beam_dies_while_one_is_left(problem):
    codes, sizes, random = problem
    trie = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
    deny = [random.integers(0, len(codes), random.integers(0, len(codes) + 5)) for _ in range(3)]
    allow = [None if random.random() < 0.3 else random.integers(0, len(codes), random.integers(1, 9)) for _ in range(3)]
    mask = random.random(len(codes)) < 0.7
    mask[0] = True
    joined = Conjunction.of(
        DenyRows.from_rows(trie, deny), AllowRows.from_rows(trie, allow), Bitmap.from_mask(trie, mask)
    )
    for beam_size in (1, 3, len(codes)):
        leaves = decode(trie, [1, 2, 3], beam_size=beam_size, filters=joined, score="catalog")
        for user in range(3):
            passing = {row for row in range(len(codes)) if mask[row]} - set(deny[user].tolist())
            passing &= passing if allow[user] is None else set(allow[user].tolist())
            rows, scores = listed(leaves, user)
            assert len(rows) == min(beam_size, len(passing)) == len(set(rows))
            assert set(rows) <= passing
            truth = exhaustive(codes, sizes, user + 1, "catalog")  # normalised before the filter
            assert np.allclose(scores, truth[rows], atol=1e-4)
            head = int(certified(leaves)[user])
            assert np.allclose(scores[:head], sorted(truth[list(passing)], reverse=True)[:head], atol=1e-4)
            assert head == len(passing) or beam_size < len(codes)


def test_a_request_that_denies_everything_gets_an_empty_list_and_its_neighbour_a_full_one():
    codes = np.array([[0, 1], [0, 2], [1, 1], [1, 1]])
    trie = PrefixTrie.from_codes(codes).to("cpu")
    deny = DenyRows.from_rows(trie, [range(4), [0]])
    leaves = decode(trie, [5, 6], beam_size=3, filters=deny)
    assert listed(leaves, 0) == ([], [])
    assert sorted(listed(leaves, 1)[0]) == [1, 2, 3]
    assert certified(leaves).tolist() == [0, 3]
    alone = decode(trie, [5], beam_size=3, filters=DenyRows.from_rows(trie, [range(4)]))
    assert listed(alone) == ([], [])


def test_one_allowed_row_is_the_whole_list():
    codes = np.random.default_rng(0).integers(0, 5, (50, 3))
    trie = PrefixTrie.from_codes(codes).to("cpu")
    for row in range(50):
        leaves = decode(trie, [row], beam_size=1, filters=AllowRows.from_rows(trie, [[row]]))
        assert listed(leaves)[0] == [row]


@pytest.mark.parametrize("beam_size", [1, 4, 1000])
def test_a_catalogue_of_one_row_is_always_found(beam_size):
    trie = PrefixTrie.from_codes(np.array([[3, 1]]), level_sizes=(9, 2)).to("cpu")
    assert listed(decode(trie, [0], beam_size=beam_size))[0] == [0]
    assert listed(decode(trie, [0], beam_size=beam_size, score="catalog")) == ([0], [0.0])


def test_batching_changes_nothing():
    codes = np.random.default_rng(2).integers(0, 6, (100, 3))
    trie = PrefixTrie.from_codes(codes).to("cpu")
    deny = [np.arange(user * 11) for user in range(8)]
    together = decode(trie, list(range(8)), beam_size=7, filters=DenyRows.from_rows(trie, deny))
    for user in range(8):
        alone = decode(trie, [user], beam_size=7, filters=DenyRows.from_rows(trie, [deny[user]]))
        assert listed(alone) == listed(together, user)
        assert alone.bound[0] == together.bound[user]


def test_equal_scores_fall_the_same_way_whatever_the_batch_is_padded_to():
    trie = PrefixTrie.from_codes(np.array([[a, b] for a in range(5) for b in range(a + 3)])).to("cpu")
    for batch_size in (1, 3):
        deny = DenyRows.from_rows(trie, [[0, 1]] + [[]] * (batch_size - 1))
        beams = start(trie, batch_size)
        for level, size in enumerate(trie.trie.level_sizes):
            logits = torch.zeros(*beams.node.shape, size)
            beams = step(trie, level, beams, logits, beam_size=4, filters=deny)
        assert listed(items(trie, beams, beam_size=4))[0] == [2, 3, 4, 5]


def test_permuting_the_catalogue_changes_only_the_row_numbers():
    random = np.random.default_rng(4)
    codes = random.integers(0, 9, (40, 3))
    shuffle = random.permutation(40)
    ids = [tuple(row) for row in codes.tolist()]
    one = decode(PrefixTrie.from_codes(codes).to("cpu"), [0], beam_size=10)
    other = decode(
        PrefixTrie.from_codes(codes[shuffle], level_sizes=tuple(codes.max(0) + 1)).to("cpu"), [0], beam_size=10
    )
    assert one.score.tolist() == other.score.tolist()
    assert [ids[row] for row in listed(one)[0]] == [ids[shuffle[row]] for row in listed(other)[0]]


@pytest.mark.parametrize("level_size", [2, 9])
@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_logits_of_minus_infinity_are_no_children_and_make_no_nan(score, level_size):
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1], [1, 0]]), level_sizes=(2, level_size)).to("cpu")
    for view in (trie, trie.with_static_shapes()):
        beams = step(view, 0, start(view, 1), torch.zeros(1, 1, 2), beam_size=3, score=score)
        dead_end = torch.full((1, 2, level_size), -math.inf)
        dead_end[0, 0, 0] = 0.0
        leaves = items(view, step(view, 1, beams, dead_end, beam_size=3, score=score), beam_size=3)
        assert listed(leaves) == ([0], pytest.approx([math.log(0.5)]))
        assert not leaves.score.isnan().any() and leaves.bound[0] < -1e9


def test_a_dead_beam_has_no_children_whatever_its_logits():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [1, 0], [1, 1]])).to("cpu")
    nodes = torch.tensor([[0, 1]])
    beams = start(trie, 1)._replace(node=nodes, code=nodes, score=torch.tensor([[0.0, -math.inf]]))
    logits = torch.tensor([[[0.0, 0.0], [math.nan, math.nan]]])
    beams = step(trie, 1, beams, logits, beam_size=5)
    assert beams.score[0].exp().tolist() == pytest.approx([0.5])
    assert listed(items(trie, beams, beam_size=5))[0] == [0]


def test_half_precision_logits_are_scored_in_float32():
    trie = PrefixTrie.from_codes(np.array([[0], [1]])).to("cpu")
    beams = step(trie, 0, start(trie, 1), torch.tensor([[[1.0, 2.0]]], dtype=torch.bfloat16), beam_size=2)
    assert beams.score.dtype == torch.float32
    assert beams.score[0, 0].item() == pytest.approx(-math.log1p(math.exp(-1)), abs=1e-6)


@given(problem=problems(), beam_size=st.sampled_from([1, 3, 40]), score=st.sampled_from(["joint", "catalog"]))
@settings(max_examples=40, deadline=None)
def test_static_shapes_change_no_list_and_do_not_depend_on_the_data(problem, beam_size, score):
    codes, sizes, random = problem
    trie = PrefixTrie.from_codes(codes, level_sizes=sizes).to("cpu")
    shapes = set()
    for _ in range(2):
        deny = DenyRows.from_rows(trie, [random.integers(0, len(codes), random.integers(0, 9)) for _ in range(2)])
        seeds = random.integers(0, 1000, 2).tolist()
        eager = decode(trie, seeds, beam_size=beam_size, filters=deny, score=score)
        static = decode(trie.with_static_shapes(), seeds, beam_size=beam_size, filters=deny, score=score)
        for user in range(2):
            assert listed(eager, user)[0] == listed(static, user)[0]
            assert listed(eager, user)[1] == pytest.approx(listed(static, user)[1], abs=1e-5)
            assert eager.bound[user].item() == pytest.approx(static.bound[user].item(), abs=1e-5)
        shapes.add(static.row.shape)
    assert len(shapes) == 1


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(("codes_up_to", "score"), [(4, "joint"), (60, "catalog")])
def test_the_compiled_step_equals_the_eager_one(codes_up_to, score):
    codes = np.random.default_rng(6).integers(0, codes_up_to, (80, 3))
    trie = PrefixTrie.from_codes(codes).to("cpu")
    deny = DenyRows.from_rows(trie, [range(0, 80, 2), range(5), [1]])
    filters = Conjunction.of(deny, AllowRows.from_rows(trie, [None, range(60), [1, 2, 2, 79]]))
    compiled = torch.compile(step, backend="eager", fullgraph=True, dynamic=False)
    eager = decode(trie, [8, 9, 10], beam_size=7, filters=filters, score=score)
    static = decode(trie, [8, 9, 10], beam_size=7, filters=filters, score=score, run=compiled)
    for user in range(3):
        assert listed(eager, user) == listed(static, user)


def test_wrong_shapes_and_sizes_are_refused():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [1, 1]])).to("cpu")
    with pytest.raises(ValueError, match=r"\(1, 1, 2\); got \(1, 1, 3\)"):
        step(trie, 0, start(trie, 1), torch.zeros(1, 1, 3), beam_size=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        step(trie, 0, start(trie, 1), torch.zeros(1, 1, 2), beam_size=0)
    with pytest.raises(ValueError, match="batch of 2 users, but the beams have 1"):
        step(trie, 0, start(trie, 1), torch.zeros(1, 1, 2), beam_size=1, filters=DenyRows.from_rows(trie, [[0], []]))
