"""The whole search against scoring every item of the catalogue by itself."""

import pytest
import torch

from genrec.generator.beam_search import beam_search
from trie import DenyRows

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
