"""The search in fixed shapes against the plain one; what a graph would hold is run again in its place."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genrec.generator.beam_search import beam_search
from genrec.generator.captured_search import Buckets, CapturedSearch
from genrec.generator.search_model import SearchModel
from trie import AllowRows, Bitmap, Conjunction, DenyRows, PrefixTrie

SMALL = Buckets(batch_sizes=(1, 4), lengths=(3, 8), rows_per_user=5)
STOCK = np.arange(40) % 7 > 0


def made_history(random, batch_size, width):
    """Random rows, of different lengths, the first one full."""
    rows = random.integers(0, 40, (batch_size, width))
    lengths = random.integers(1, width + 1, (batch_size, 1))
    lengths[0] = width
    return torch.from_numpy(np.where(np.arange(width) < lengths, rows, -1))


def made_filters(random, trie, batch_size):
    """A filter of each kind and all joined; lists of up to 12 rows do not always fit the first room."""
    lists = [random.integers(0, 40, random.integers(1, 12)) for _ in range(2 * batch_size)]
    deny = DenyRows.from_rows(trie, [rows[random.integers(0, 2) :] for rows in lists[:batch_size]])
    allow = AllowRows.from_rows(trie, [None if len(rows) < 4 else rows for rows in lists[batch_size:]])
    bitmap = Bitmap.from_mask(trie, (np.arange(40) == 3) | (random.random(40) < 0.6))
    return {"none": None, "deny": deny, "allow": allow, "bitmap": bitmap, "all": Conjunction.of(deny, allow, bitmap)}


def plain(model, trie, history, *, beam_size, filters=None, score="joint"):
    with torch.inference_mode():
        read = model.read_history(history)
    return beam_search(model, trie, read, batch_size=len(history), beam_size=beam_size, filters=filters, score=score)


def assert_same(static, eager):
    """The lists are the same, but for empty places at the end."""
    width = min(eager.row.shape[1], static.row.shape[1])
    assert torch.equal(static.row[:, :width], eager.row[:, :width])
    torch.testing.assert_close(static.score[:, :width], eager.score[:, :width], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(static.bound, eager.bound, atol=1e-5, rtol=1e-4)
    assert (static.row[:, width:] == -1).all() and (eager.row[:, width:] == -1).all()


def searches(make_generator, codes, kind="plain", encoder="causal_items", device="cpu", **options):
    """The model, the trie, and a captured search; by kind of trie: "plain", "stock", or "shared" leaves."""
    generator, codes = make_generator(encoder), codes.copy()
    if kind == "shared":
        codes[::3] = codes[1]
    torch.nn.Module.to(generator, device)
    trie = PrefixTrie.from_codes(codes, level_sizes=(7, 5, 3)).to(device)
    if kind == "stock":
        trie = trie.with_stock(Bitmap.from_mask(trie, STOCK))
    model = SearchModel(generator)
    return model, trie, CapturedSearch(model, trie, **{"buckets": SMALL, "beam_size": 6} | options)


@pytest.fixture
def make_searches(small_generator, codes):
    return partial(searches, small_generator, codes)


@pytest.mark.parametrize("encoder", ["causal_items", "bidirectional_tokens"])
@pytest.mark.parametrize("kind", ["plain", "stock", "shared"])
@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_any_batch_in_any_bucket_gets_the_lists_of_the_plain_search(make_searches, encoder, kind, score):
    model, trie, captured = make_searches(kind, encoder, score=score)
    random = np.random.default_rng(0)
    for batch_size, width in ((1, 1), (3, 2), (4, 3), (2, 8)):
        for filters in made_filters(random, trie, batch_size).values():
            history = made_history(random, batch_size, width)
            eager = plain(model, trie, history, beam_size=6, filters=filters, score=score)
            assert_same(captured(history, filters), eager)


@pytest.mark.parametrize("beam_size", [1, 500])
def test_beams_of_one_and_wider_than_the_catalogue_are_the_plain_ones(make_searches, beam_size):
    model, trie, captured = make_searches(beam_size=beam_size)
    history = torch.tensor([[3, 9], [5, -1]])
    assert_same(captured(history), plain(model, trie, history, beam_size=beam_size))


def test_batches_of_one_bucket_share_a_recording_and_keep_their_own_lists(make_searches):
    model, trie, captured = make_searches()
    random = np.random.default_rng(1)
    histories = [made_history(random, batch_size, width) for batch_size, width in ((4, 3), (2, 1), (3, 2))]
    found = [captured(history) for history in histories]
    assert len(captured._recordings) == 1
    for leaves, history in zip(found, histories, strict=True):
        assert len(leaves.row) == len(leaves.bound) == len(history)
        assert_same(leaves, plain(model, trie, history, beam_size=6))


def test_lists_that_do_not_fit_their_room_get_eight_times_as_much(make_searches):
    model, trie, captured = make_searches()
    history = torch.tensor([[3, 9]])
    for num_denied in (0, 5, 6, 40):
        filters = DenyRows.from_rows(trie, [range(num_denied)])
        assert_same(captured(history, filters), plain(model, trie, history, beam_size=6, filters=filters))
    assert [shape.denied for shape in captured._recordings] == [5, 40]


def test_no_history_at_all_gets_no_list(make_searches):
    _, _, captured = make_searches()
    assert captured(torch.empty(0, 3, dtype=torch.int64)).row.shape == (0, 6)


def test_threads_take_turns_and_get_what_they_asked_for(make_searches):
    model, trie, captured = make_searches()
    random = np.random.default_rng(2)
    asked = [made_history(random, int(random.integers(1, 5)), 3) for _ in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for history, leaves in zip(asked, pool.map(captured, asked), strict=True):
            assert_same(leaves, plain(model, trie, history, beam_size=6))


class NothingIsBrought(TorchDispatchMode):
    """Fails where a tensor of the CPU, other than a number, goes into work on another device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outside = [one for one in args if isinstance(one, torch.Tensor) and one.device.type == "cpu" and one.ndim]
        assert not outside, f"{func} takes {len(outside)} tensors from the CPU"
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(
    ("kind", "encoder", "score"),
    [
        ("plain", "bidirectional_tokens", "joint"),
        ("stock", "causal_items", "catalog"),
        ("shared", "causal_items", "joint"),
    ],
)
def test_the_search_looks_at_no_data_and_brings_none_along(make_searches, kind, encoder, score):
    # tensors on "meta" have a shape and no data: whatever a GPU would have to be waited for fails on them
    _, trie, captured = make_searches(kind, encoder, device="meta", score=score)
    random = np.random.default_rng(3)
    filters = made_filters(random, trie, 3)
    for name in ("none", "deny", "all"):
        history = made_history(random, 3, 8).to("meta")
        with NothingIsBrought():
            leaves = captured(history, filters[name])
        assert (leaves.row.shape, leaves.row.device.type) == ((3, 6), "meta")


def test_meta_tensors_do_catch_a_look_at_the_data(make_searches):
    _, trie, _ = make_searches(device="meta")
    deny = DenyRows.from_rows(trie, [[1, 2]])
    for look in (lambda: bool(deny.keys[0] > 0), lambda: deny.keys[deny.keys > 0], lambda: deny.keys.unique()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            look()
    with pytest.raises(AssertionError, match="takes 1 tensors from the CPU"), NothingIsBrought():
        torch.ones(2).to("meta")


def test_batches_that_no_bucket_takes_are_refused(make_searches):
    _, trie, captured = make_searches()
    for shape in ((5, 3), (1, 9)):
        history = torch.zeros(shape, dtype=torch.int64)
        assert not captured.buckets.hold(history)
        with pytest.raises(
            ValueError, match=rf"at most 4 histories of at most 8 items, got \({shape[0]}, {shape[1]}\)"
        ):
            captured(history)
    with pytest.raises(ValueError, match="for a batch of 2 users, but there are 1 histories"):
        captured(torch.tensor([[3]]), DenyRows.from_rows(trie, [[0], [1]]))


@pytest.mark.parametrize("wrong", [{"batch_sizes": ()}, {"batch_sizes": (2, 1)}, {"lengths": (0, 3)}])
def test_buckets_must_ascend(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be ascending numbers from 1 on"):
        Buckets(**wrong)


def test_buckets_up_to_a_size_are_the_powers_of_two_below_it_and_itself():
    assert Buckets.up_to(6, lengths=(9,)).batch_sizes == (1, 2, 4, 6)
    assert Buckets.up_to(8, lengths=(9,)).batch_sizes == (1, 2, 4, 8)


def check_compiled(make_generator, codes):
    """Lists of a compiled search, of two shapes, against those of the plain one."""
    torch.compile = partial(torch.compile, backend="aot_eager")  # the other takes minutes
    model, trie, captured = searches(make_generator, codes, "stock", compiled=True)
    random = np.random.default_rng(4)
    for batch_size, name in ((1, "none"), (3, "all")):
        history, filters = made_history(random, batch_size, 3), made_filters(random, trie, batch_size)[name]
        assert_same(captured(history, filters), plain(model, trie, history, beam_size=6, filters=filters))
    print("checked")


def test_a_compiled_search_is_one_graph_a_shape_and_finds_the_same():
    # in a process without the checks around every annotated function, which the compiler cannot trace
    here = Path(__file__).parent
    code = (
        "from conftest import CODES, make_generator as make; from test_captured_search import check_compiled as check"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; check(make, CODES)"],
        cwd=here.parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here.parents[2], here.parent, here)))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("checked", 0), done.stderr[-3000:]
