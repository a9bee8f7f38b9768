import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trie import Bitmap, PrefixTrie


def catalogue(num_rows: int, seed: int = 0):
    """A trie whose sorted order is not that of its rows."""
    codes = np.random.default_rng([seed, num_rows]).integers(0, 16, (num_rows, 2))
    return PrefixTrie.from_codes(codes, level_sizes=(16, 16)).to("cpu")


def masked(trie, share: float, seed: int = 1) -> tuple[Bitmap, np.ndarray]:
    """A bitmap, and its plain twin: is the row at each sorted position allowed?"""
    mask = np.random.default_rng(seed).random(trie.trie.num_rows) < share
    mask[0] = True
    return Bitmap.from_mask(trie, mask), mask[trie.trie.arrays.order]


def positions_of(bitmap: Bitmap) -> set[int]:
    return set(torch.nonzero(bitmap.holds(torch.arange(bitmap.num_positions))).flatten().tolist())


@pytest.mark.parametrize("num_rows", [1, 2, 63, 64, 65, 127, 128, 200])
@pytest.mark.parametrize("share", [0.1, 0.9, 1.0])
def test_counts_of_every_range_are_those_of_a_list_of_booleans(num_rows, share):
    bitmap, allowed = masked(catalogue(num_rows), share)
    lo, hi = torch.meshgrid(torch.arange(num_rows + 1), torch.arange(num_rows + 1), indexing="ij")
    lo = torch.minimum(lo, hi)
    expected = [[int(allowed[min(i, j) : j].sum()) for j in range(num_rows + 1)] for i in range(num_rows + 1)]
    assert bitmap.count(lo, hi).tolist() == expected
    assert torch.equal(bitmap.alive(lo, hi), torch.tensor(expected) > 0)
    assert bitmap.holds(torch.arange(num_rows)).tolist() == allowed.tolist()
    assert bitmap.num_allowed == allowed.sum()


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 5)])
def test_methods_take_any_shape_also_of_views(shape):
    bitmap, allowed = masked(catalogue(150), 0.7)
    random = np.random.default_rng(2)
    lo, width = torch.as_tensor(random.integers(0, 140, shape)), torch.as_tensor(random.integers(0, 10, shape))
    hi = torch.stack([lo + width, lo], dim=-1)[..., 0]  # a view with gaps
    expected = [allowed[low:high].sum() for low, high in zip(lo.flatten().tolist(), hi.flatten().tolist(), strict=True)]
    assert bitmap.count(lo, hi).shape == bitmap.alive(lo, hi).shape == bitmap.holds(lo).shape == shape
    assert bitmap.count(lo, hi).flatten().tolist() == expected
    assert bitmap.count(lo.expand(4, *shape), hi.expand(4, *shape))[3].flatten().tolist() == expected


def test_a_million_rows_take_nineteen_hundredths_of_a_byte_each():
    # 2**20 rows: 2**14 full words and one for the position after the last, 8 + 4 bytes each
    codes = np.arange(1 << 20)[:, None]
    bitmap = Bitmap.full(PrefixTrie.from_codes(codes).to("cpu"))
    assert bitmap.words.nbytes + bitmap.before.nbytes == 12 * ((1 << 14) + 1)
    assert bitmap.num_allowed == 1 << 20


@pytest.mark.parametrize("num_rows", [1, 64, 100])
def test_a_full_bitmap_equals_the_mask_of_ones(num_rows):
    trie = catalogue(num_rows)
    full, mask = Bitmap.full(trie), Bitmap.from_mask(trie, np.ones(num_rows, dtype=bool))
    assert torch.equal(full.words, mask.words)
    assert torch.equal(full.before, mask.before)
    assert full.num_allowed == num_rows


@given(st.integers(1, 200), st.data())
@settings(max_examples=60, deadline=None)
def test_changes_are_those_of_a_set_and_leave_the_old_bitmap_alone(num_rows, data):
    some = st.lists(st.integers(0, num_rows - 1), max_size=80)
    bitmap = Bitmap.full(catalogue(num_rows))
    known = set(range(num_rows))
    for change in data.draw(st.lists(st.sampled_from(["without", "including"]), max_size=5)):
        positions = data.draw(some)
        words, before, old = bitmap.words.clone(), bitmap.before.clone(), bitmap
        bitmap = getattr(bitmap, change)(torch.tensor(positions, dtype=torch.int64))
        known = known - set(positions) if change == "without" else known | set(positions)
        assert torch.equal(old.words, words) and torch.equal(old.before, before)
        assert positions_of(bitmap) == known
        assert bitmap.num_allowed == len(known)
        nothing = torch.zeros(1, dtype=torch.int64)
        assert bitmap.count(nothing, nothing + num_rows).tolist() == [len(known)]


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_both_of_two_bitmaps_allow_the_rows_that_each_allows(num_rows, share, other_share):
    trie = catalogue(num_rows)
    (one, allowed), (other, also) = masked(trie, share, seed=1), masked(trie, other_share, seed=2)
    assert positions_of(one & other) == set(np.flatnonzero(allowed & also).tolist())
    assert (one & other).num_allowed == (allowed & also).sum()


def test_questions_wait_for_no_data():
    # tensors on "meta" have shapes but no values: whatever looks at a value raises
    words, before = torch.empty(3, dtype=torch.int64), torch.empty(3, dtype=torch.int32)
    bitmap = Bitmap(words.to("meta"), before.to("meta"), 150)
    lo = torch.empty(4, 5, dtype=torch.int64, device="meta")
    assert bitmap.count(lo, lo).shape == bitmap.alive(lo, lo).shape == bitmap.holds(lo).shape == (4, 5)


def test_all_rows_may_be_taken_out():
    bitmap = Bitmap.full(catalogue(64)).without(torch.arange(64))
    assert bitmap.num_allowed == 0
    assert not bitmap.alive(torch.tensor(0), torch.tensor(64))


@pytest.mark.parametrize("position", [-1, 100])
@pytest.mark.parametrize("change", ["without", "including"])
def test_positions_that_the_bitmap_does_not_have_are_refused(change, position):
    bitmap = Bitmap.full(catalogue(100))
    with pytest.raises(ValueError, match=r"must lie in 0..99"):
        getattr(bitmap, change)(torch.tensor([5, position]))


def test_bitmaps_over_different_numbers_of_rows_are_refused():
    one, other = Bitmap.full(catalogue(100)), Bitmap.full(catalogue(101))
    with pytest.raises(ValueError, match="100 and 101 rows cannot be joined"):
        one & other
    with pytest.raises(ValueError, match="100 rows need 2 words, got 3"):
        Bitmap.from_words(torch.zeros(3, dtype=torch.int64), 100)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", ["count", "alive"])
def test_compiled_methods_equal_the_eager_ones(name):
    bitmap, _ = masked(catalogue(1000), 0.6)
    lo, hi = torch.arange(36).view(4, 9), torch.arange(964, 1000).view(4, 9)
    method = getattr(bitmap, name)
    assert torch.equal(torch.compile(method, backend="aot_eager", fullgraph=True)(lo, hi), method(lo, hi))
    held = torch.compile(bitmap.holds, backend="aot_eager", fullgraph=True)(lo)
    assert torch.equal(held, bitmap.holds(lo))
