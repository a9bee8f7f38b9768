import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import AllowRows, Bitmap, Conjunction, DenyRows, PrefixTrie


def every_range(num_rows: int, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every lo <= hi of sorted positions, for each user, as [batch, num_rows + 1, num_rows + 1]."""
    lo, hi = torch.meshgrid(torch.arange(num_rows + 1), torch.arange(num_rows + 1), indexing="ij")
    lo = torch.minimum(lo, hi)
    return lo.expand(batch_size, -1, -1), hi.expand(batch_size, -1, -1)


def holds(trie, passing: list[set[int]]) -> torch.Tensor:
    """The plain twin of `alive` over every range: does any row of the range pass?"""
    order = trie.trie.arrays.order.tolist()
    lo, hi = every_range(len(order), 1)
    ranges = zip(lo.flatten().tolist(), hi.flatten().tolist(), strict=True)
    spans = [set(order[low:high]) for low, high in ranges]
    return torch.tensor([[bool(span & mine) for span in spans] for mine in passing]).view(-1, *lo.shape[1:])


@st.composite
def batches(draw):
    num_rows, batch_size = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rows = st.lists(st.integers(0, num_rows - 1), max_size=12)
    codes = [[draw(st.integers(0, 2)), draw(st.integers(0, 2))] for _ in range(num_rows)]
    return np.array(codes), [[draw(rows) for _ in range(batch_size)] for _ in range(2)]


@given(batches())
@settings(max_examples=40, deadline=None)
def test_all_forms_agree_with_python_sets_and_with_each_other(batch):
    codes, (first, second) = batch
    trie = PrefixTrie.from_codes(codes).to("cpu")
    everything = set(range(trie.trie.num_rows))
    lo, hi = every_range(len(everything), len(first))
    allowed = [everything - set(one) for one in first]
    expected = holds(trie, allowed)

    deny = DenyRows.from_rows(trie, first)
    assert torch.equal(deny.alive(lo, hi), expected)
    assert torch.equal(Conjunction.of(deny).alive(lo, hi), expected)
    if all(allowed):
        assert torch.equal(AllowRows.from_rows(trie, [sorted(one) for one in allowed]).alive(lo, hi), expected)
    if allowed[0]:
        bitmap = Bitmap.from_mask(trie, np.array([row in allowed[0] for row in sorted(everything)]))
        assert torch.equal(bitmap.alive(lo, hi)[0], expected[0])

    both = holds(trie, [everything - set(one) - set(two) for one, two in zip(first, second, strict=True)])
    assert torch.equal(Conjunction.of(deny, DenyRows.from_rows(trie, second)).alive(lo, hi), both)


def made_parts(trie, first, second, random):
    """Some filters of any kinds, and the rows of each user that pass them."""
    everything = set(range(trie.trie.num_rows))
    masks = [random.random(len(everything)) < 0.7 for _ in range(2)]
    lists = [[one or None for one in each] for each in (first, second)]
    denied = [random.choice(len(everything), random.integers(0, 4)) for _ in first]
    parts = [
        (DenyRows.from_rows(trie, denied), [everything - set(one.tolist()) for one in denied]),
        *[(AllowRows.from_rows(trie, each), [set(one or everything) for one in each]) for each in lists],
        *[
            (Bitmap.from_mask(trie, mask), [set(np.flatnonzero(mask).tolist())] * len(first))
            for mask in masks
            if mask.any()
        ],
    ]
    chosen = [parts[i] for i in random.permutation(len(parts))[: random.integers(1, len(parts) + 1)]]
    passing = [set.intersection(everything, *sets) for sets in zip(*[sets for _, sets in chosen], strict=True)]
    return [part for part, _ in chosen], passing


@given(batches(), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_conjunction_passes_the_rows_that_pass_every_part(batch, seed):
    codes, (first, second) = batch
    trie = PrefixTrie.from_codes(codes).to("cpu")
    chosen, passing = made_parts(trie, first, second, np.random.default_rng(seed))
    lo, hi = every_range(trie.trie.num_rows, len(first))
    joined = Conjunction.of(*chosen)
    assert torch.equal(joined.alive(lo, hi), holds(trie, passing))
    nested = Conjunction.of(Conjunction.of(chosen[0]), Conjunction.of(*chosen[1:]))
    assert torch.equal(nested.alive(lo, hi), joined.alive(lo, hi))


@given(batches(), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_padded_sets_pass_the_same_rows_and_joining_them_keeps_their_entries(batch, seed):
    codes, (first, second) = batch
    trie = PrefixTrie.from_codes(codes).to("cpu")
    chosen, passing = made_parts(trie, first, second, np.random.default_rng(seed))
    bitmaps = [part for part in chosen if isinstance(part, Bitmap)]
    sets = [part for part in chosen if not isinstance(part, Bitmap)]
    padded = [part.padded(batch_size=len(first) + 2, num_entries=len(part.keys) + 3) for part in sets]
    joined = Conjunction.of(*bitmaps, *padded)
    lo, hi = every_range(trie.trie.num_rows, len(first) + 2)
    alive = joined.alive(lo, hi)
    assert torch.equal(alive[: len(first)], holds(trie, passing))
    everyone = Conjunction.of(*bitmaps).alive(lo, hi)  # the users that were added have no lists
    assert torch.equal(alive[len(first) :], everyone[len(first) :])
    for kind, found in ((DenyRows, joined.deny), (AllowRows, joined.allow)):
        entries = [len(part.keys) for part in padded if isinstance(part, kind)]
        assert (0 if found is None else len(found.keys)) == sum(entries)


def test_filters_are_joined_row_by_row_not_node_by_node():
    # Both rows lie below one node; one is in stock, the other in the region: nothing passes both.
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    in_stock = Bitmap.from_mask(trie, np.array([True, False]))
    in_region = Bitmap.from_mask(trie, np.array([False, True]))
    lo, hi = torch.tensor([[0]]), torch.tensor([[2]])
    assert bool(in_stock.alive(lo, hi)) and bool(in_region.alive(lo, hi))
    assert not bool(Conjunction.of(in_stock, in_region).alive(lo, hi))


def test_where_every_user_has_a_list_a_conjunction_is_these_alone():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).to("cpu")
    stock = Bitmap.from_mask(trie, np.array([True, True, True, False]))
    deny = DenyRows.from_rows(trie, [[1], [0]])
    joined = Conjunction.of(stock, deny, AllowRows.from_rows(trie, [[3, 1, 0, 1], [2]]))
    assert joined.bitmap is None and joined.deny is None and joined.allow is not None
    assert joined.allow.users.tolist() == [0, 1] and joined.allow.positions().tolist() == [0, 2]
    mixed = Conjunction.of(stock, deny, AllowRows.from_rows(trie, [[3, 1, 0, 1], None]))
    assert mixed.bitmap is stock and mixed.deny is not None
    everything = torch.arange(4).expand(2, -1)
    assert mixed.alive(everything, everything + 1).tolist() == [[True, False, False, False], [False, True, True, False]]


def test_no_filters_at_all_allow_everything():
    lo, hi = torch.tensor([[0, 1]]), torch.tensor([[1, 1]])
    assert Conjunction.of().alive(lo, hi).tolist() == [[True, False]]


def test_empty_allowed_sets_are_refused():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    with pytest.raises(ValueError, match="allow list of user 1 of the batch is empty"):
        AllowRows.from_rows(trie, [[0], []])
    with pytest.raises(ValueError, match="allows no row"):
        Bitmap.from_mask(trie, np.zeros(2, dtype=bool))


@pytest.mark.parametrize("kind", [DenyRows, AllowRows])
@pytest.mark.parametrize("row", [-1, 2])
def test_rows_that_the_trie_does_not_have_are_refused(kind, row):
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    with pytest.raises(ValueError, match=f"row {row} of user 1 of the batch is not in the trie: rows are 0..1"):
        kind.from_rows(trie, [[0], [1, row]])


def test_sets_are_not_padded_to_less_than_they_hold():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    deny = DenyRows.from_rows(trie, [[0, 1], [0]])
    for batch_size, num_entries in ((1, 9), (2, 2)):
        with pytest.raises(
            ValueError, match=f"2 users and 3 entries cannot be padded to {batch_size} and {num_entries}"
        ):
            deny.padded(batch_size=batch_size, num_entries=num_entries)


def test_row_numbers_that_the_trie_leaves_out_are_in_no_set():
    trie = PrefixTrie.from_codes(np.array([[0], [1], [2]]), rows=np.array([0, 2, 5])).to("cpu")
    deny = DenyRows.from_rows(trie, [[1, 2, 2], [4, 3, 1], [5]])
    assert (deny.users.tolist(), deny.positions().tolist()) == ([0, 2], [1, 2])


def test_filters_that_do_not_fit_together_are_refused():
    trie = PrefixTrie.from_codes(np.array([[0, 0], [0, 1]])).to("cpu")
    with pytest.raises(ValueError, match="3 rows, but the trie has 2"):
        Bitmap.from_mask(trie, np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="cannot be joined"):
        Conjunction.of(DenyRows.from_rows(trie, [[0]]), DenyRows.from_rows(trie, [[0], [1]]))
    with pytest.raises(ValueError, match="batches of 1 and 2 users cannot be joined"):
        Conjunction.of(DenyRows.from_rows(trie, [[0]]), AllowRows.from_rows(trie, [[0], [1]]))
