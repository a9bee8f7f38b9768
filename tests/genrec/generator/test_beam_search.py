"""The whole search against scoring every item of the catalogue by itself."""

import numpy as np
import pytest
import torch

from genrec.generator.beam_search import PrefixCap, beam_search, sample_search
from trie import DenyRows
from trie.step import certified

ENCODERS = ("causal_items", "bidirectional_tokens")


def search(generator, prefix_trie, history, *, beam_size, filters=None):
    return beam_search(
        generator,
        prefix_trie.to("cpu"),
        generator.read_history(history),
        batch_size=len(history),
        beam_size=beam_size,
        filters=filters,
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_beam_as_wide_as_the_catalogue_ranks_every_item_by_its_exact_score(
    encoder, small_generator, prefix_trie, score_every_item
):
    generator = small_generator(encoder)
    history = torch.tensor([[3, 9, 12, 4]])
    exact = score_every_item(generator, history)
    leaves = search(generator, prefix_trie, history, beam_size=40)
    assert leaves.row[0].tolist() == exact.argsort(descending=True).tolist()
    torch.testing.assert_close(leaves.score[0], exact.sort(descending=True).values, atol=1e-5, rtol=1e-4)


def test_a_beam_wider_than_the_catalogue_returns_each_item_once(small_generator, prefix_trie):
    leaves = search(small_generator(), prefix_trie, torch.tensor([[3]]), beam_size=500)
    found = leaves.row[0][leaves.row[0] >= 0]
    assert sorted(found.tolist()) == list(range(40))


def test_users_searched_together_find_what_they_find_alone(small_generator, prefix_trie):
    generator = small_generator()
    together = search(generator, prefix_trie, torch.tensor([[3, 9, 12], [5, -1, -1]]), beam_size=6)
    alone = search(generator, prefix_trie, torch.tensor([[5]]), beam_size=6)
    assert together.row[1].tolist() == alone.row[0].tolist()


def test_denied_items_never_come_and_cost_no_place_in_the_list(small_generator, prefix_trie, score_every_item):
    generator, tree = small_generator(), prefix_trie.to("cpu")
    history = torch.tensor([[3, 9]])
    exact = score_every_item(generator, history)
    denied = exact.argsort(descending=True)[:10]
    filters = DenyRows.from_rows(tree, [denied.tolist()])
    leaves = search(generator, prefix_trie, history, beam_size=40, filters=filters)
    expected = [row for row in exact.argsort(descending=True).tolist() if row not in set(denied.tolist())]
    assert leaves.row[0][leaves.row[0] >= 0].tolist() == expected


def test_a_narrow_beam_still_fills_its_list(small_generator, prefix_trie):
    leaves = search(small_generator(), prefix_trie, torch.tensor([[3, 9]]), beam_size=7)
    assert (leaves.row[0] >= 0).all()
    assert len(set(leaves.row[0].tolist())) == 7


def test_a_cap_bounds_how_many_items_share_their_first_codes(small_generator, prefix_trie, codes):
    generator, history = small_generator(), torch.tensor([[3, 9], [5, 7]])
    read = generator.read_history(history)
    free = beam_search(generator, prefix_trie.to("cpu"), read, batch_size=2, beam_size=10)
    assert max(np.bincount(codes[free.row[0], 0])) > 2
    for depth in (1, 2, 3):
        cap = PrefixCap(depth=depth, most=2)
        leaves = beam_search(generator, prefix_trie.to("cpu"), read, batch_size=2, beam_size=10, cap=cap)
        for rows in leaves.row.tolist():
            prefixes = [tuple(codes[row, :depth]) for row in rows if row >= 0]
            assert prefixes and max(map(prefixes.count, prefixes)) <= 2


@pytest.mark.parametrize("wrong", [(0, 1), (4, 1), (1, 0)])
def test_a_cap_that_makes_no_sense_is_refused(small_generator, prefix_trie, wrong):
    generator = small_generator()
    read = generator.read_history(torch.tensor([[3]]))
    with pytest.raises(ValueError, match=r"depth in 1\.\.3 and most of at least 1"):
        beam_search(generator, prefix_trie.to("cpu"), read, batch_size=1, beam_size=3, cap=PrefixCap(*wrong))


def test_an_adaptive_beam_proves_no_less_than_it_says(small_generator, prefix_trie, score_every_item):
    generator, history = small_generator(), torch.tensor([[3, 9]])
    exact = score_every_item(generator, history).argsort(descending=True).tolist()
    proven = []
    for mass in (0.3, 0.9, 0.999):
        read = generator.read_history(history)
        leaves = beam_search(generator, prefix_trie.to("cpu"), read, batch_size=1, beam_size=40, mass=mass)
        proven.append(int(certified(leaves)[0]))
        assert leaves.row[0, : proven[-1]].tolist() == exact[: proven[-1]]
    assert proven == sorted(proven) and proven[-1] > proven[0]


def test_samples_are_different_items_and_the_coldest_sample_is_the_top_of_the_list(small_generator, prefix_trie):
    generator, trie = small_generator(), prefix_trie.to("cpu")
    read = generator.read_history(torch.tensor([[3, 9]] * 50))
    found = sample_search(generator, trie, read, seeds=torch.arange(50), num_samples=5)
    assert all(len(set(rows)) == 5 for rows in found.row.tolist())
    assert len(set(map(tuple, found.row.tolist()))) > 1
    cold = sample_search(generator, trie, read, seeds=torch.arange(50), num_samples=1, temperature=0.01)
    top = beam_search(generator, trie, read, batch_size=50, beam_size=40, score="catalog")
    assert (cold.row[:, 0] == top.row[:, 0]).all()
    with pytest.raises(ValueError, match="temperature must be above 0"):
        sample_search(generator, trie, read, seeds=torch.arange(50), num_samples=1, temperature=0.0)


@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_more_leaves_are_all_items_below_the_last_prefixes(small_generator, prefix_trie, codes, score):
    generator, trie, prefixes = small_generator(), prefix_trie.to("cpu"), {}
    read = generator.read_history(torch.tensor([[3, 9], [5, 7]]))

    def observe(level, beams):
        nodes = [node[own > -torch.inf] for node, own in zip(beams.node, beams.score, strict=True)]
        prefixes[level] = [
            {tuple(codes[trie.order[trie.first(level + 1, node)], : level + 1]) for node in nodes_of_user}
            for nodes_of_user in nodes
        ]

    options = {"batch_size": 2, "beam_size": 4, "score": score}
    narrow = beam_search(generator, trie, read, **options)
    wide = beam_search(generator, trie, read, num_leaves=40, observe=observe, **options)
    assert wide.row[:, :4].tolist() == narrow.row.tolist()
    for user, rows in enumerate(wide.row.tolist()):
        below = {row for row, own in enumerate(codes) if tuple(own[:2]) in prefixes[1][user]}
        found = [row for row in rows if row >= 0]
        assert set(found) == below and len(found) == len(below) > 4
