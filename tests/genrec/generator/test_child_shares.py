"""Shares of codes against sums over sets of items."""

import torch

from genrec.generator.child_shares import child_shares, child_shares_of_sample
from genrec.generator.prefixes import Prefixes
from trie import PrefixTrie


def shares_by_sets(shares, row, codes, level_sizes):
    found = []
    for level, size in enumerate(level_sizes):
        level_shares = [0.0] * size
        for item, item_codes in enumerate(codes):
            if list(item_codes[:level]) == list(codes[row][:level]):
                level_shares[item_codes[level]] += shares[item]
        found.append([share / sum(level_shares) for share in level_shares])
    return found


def test_every_level_has_the_sums_over_the_items_below_its_codes(codes, prefix_trie):
    torch.manual_seed(0)
    shares, rows = torch.rand(25, 40, dtype=torch.float64), torch.randint(40, (25,))
    levels = child_shares(shares, rows, torch.from_numpy(codes), Prefixes(prefix_trie))
    for target, row in enumerate(rows.tolist()):
        expected = shares_by_sets(shares[target].tolist(), row, codes.tolist(), (7, 5, 3))
        for level, level_shares in enumerate(levels):
            torch.testing.assert_close(level_shares[target], torch.tensor(expected[level], dtype=torch.float64))


def test_items_outside_the_sample_have_no_share(codes, prefix_trie):
    torch.manual_seed(0)
    shares, rows = torch.rand(25, 12, dtype=torch.float64), torch.randint(40, (25,))
    sampled, item_codes = torch.randperm(40)[:12].sort().values, torch.from_numpy(codes)
    everywhere = torch.zeros(25, 40, dtype=torch.float64).index_add_(1, sampled, shares)
    of_sample = child_shares_of_sample(shares, rows, sampled, item_codes, Prefixes(prefix_trie))
    for level, expected in enumerate(child_shares(everywhere, rows, item_codes, Prefixes(prefix_trie))):
        torch.testing.assert_close(of_sample[level], expected)


def test_items_with_one_id_count_together():
    codes = torch.tensor([[0, 1], [0, 1], [0, 0], [1, 1]])
    prefixes = Prefixes(PrefixTrie.from_codes(codes.numpy(), level_sizes=(2, 2)))
    first, second = child_shares(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([0]), codes, prefixes)
    torch.testing.assert_close(first, torch.tensor([[0.6, 0.4]]))
    torch.testing.assert_close(second, torch.tensor([[0.5, 0.5]]))


def test_where_nothing_is_left_the_true_code_has_it_all():
    codes = torch.tensor([[0, 1], [0, 0], [1, 1]])
    prefixes = Prefixes(PrefixTrie.from_codes(codes.numpy(), level_sizes=(2, 2)))
    first, second = child_shares(torch.tensor([[0.0, 0.0, 5.0]]), torch.tensor([0]), codes, prefixes)
    torch.testing.assert_close(first, torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(second, torch.tensor([[0.0, 1.0]]))
