"""On a GPU: searches that are replayed from CUDA graphs against the plain ones, and whether any waits for the GPU."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from benchmarks.catalogues import skewed_codes
from benchmarks.decoders import made_generator
from genrec.generator.beam_search import beam_search
from genrec.generator.captured_search import Buckets, CapturedSearch
from genrec.generator.search_model import SearchModel
from trie import AllowRows, Bitmap, Conjunction, DenyRows, PrefixTrie

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DEVICE = "cuda"
BUCKETS = Buckets(batch_sizes=(1, 4, 64), lengths=(8, 20))
NUM_ITEMS = 5000
CLOSE = 1e-4


def searches(seed, *, encoder="causal_items", shared=False, stock=False, **options):
    """The model, the trie, and a captured search."""
    codes = skewed_codes(NUM_ITEMS, seed=seed)
    if shared:
        codes[::3] = codes[: len(codes[::3])]
    generator = made_generator(codes, encoder=encoder)
    torch.nn.Module.to(generator, DEVICE)
    trie = PrefixTrie.from_codes(codes, level_sizes=(256,) * 4).to(DEVICE)
    if stock:
        trie = trie.with_stock(Bitmap.from_mask(trie, np.random.default_rng(seed).random(NUM_ITEMS) < 0.9))
    model = SearchModel(generator)
    return model, trie, CapturedSearch(model, trie, **{"beam_size": 50, "buckets": BUCKETS} | options)


def made_history(random, batch_size):
    width = int(random.integers(1, 21))
    lengths = random.integers(1, width + 1, (batch_size, 1))
    rows = random.integers(0, NUM_ITEMS, (batch_size, width))
    return torch.from_numpy(np.where(np.arange(width) < lengths, rows, -1)).to(DEVICE)


def made_filters(random, trie, batch_size):
    deny = DenyRows.from_rows(trie, [random.integers(0, NUM_ITEMS, random.integers(0, 200)) for _ in range(batch_size)])
    lists = [random.integers(0, NUM_ITEMS, random.integers(1, 900)) for _ in range(batch_size)]
    allow = AllowRows.from_rows(trie, [None if len(rows) < 200 else rows for rows in lists])
    bitmap = Bitmap.from_mask(trie, random.random(NUM_ITEMS) < 0.5)
    return [None, deny, allow, bitmap, Conjunction.of(deny, bitmap), Conjunction.of(deny, allow, bitmap)]


def plain(model, trie, history, filters=None, *, beam_size=50, score="joint"):
    with torch.inference_mode():
        read = model.read_history(history)
    return beam_search(model, trie, read, batch_size=len(history), beam_size=beam_size, filters=filters, score=score)


def assert_same(found, expected):
    """Scores are equal up to rounding, and so are rows wherever no neighbour scores as much."""
    torch.testing.assert_close(found.score, expected.score, atol=CLOSE, rtol=CLOSE)
    torch.testing.assert_close(found.bound, expected.bound, atol=CLOSE, rtol=CLOSE)
    score = expected.score.clamp(min=-1e6)  # so that empty places are equal too
    after = torch.cat([score[:, 1:], expected.bound.clamp(min=-1e6)[:, None]], dim=1)
    is_apart = (score - after) > 10 * CLOSE
    is_apart[:, 1:] &= is_apart[:, :-1].clone()
    assert torch.equal(found.row[is_apart], expected.row[is_apart])
    assert torch.equal(found.row < 0, expected.row < 0)
    assert float((found.row == expected.row).float().mean()) > 0.9


@pytest.mark.parametrize("encoder", ["causal_items", "bidirectional_tokens"])
@pytest.mark.parametrize(("shared", "stock"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_a_replayed_graph_finds_what_the_plain_search_finds(encoder, shared, stock, score):
    model, trie, captured = searches(1, encoder=encoder, shared=shared, stock=stock, score=score)
    random = np.random.default_rng(2)
    for batch_size in (1, 3, 4, 50, 2):
        for filters in made_filters(random, trie, batch_size):
            history = made_history(random, batch_size)
            for given in (history, history.cpu()):
                assert_same(captured(given, filters), plain(model, trie, history, filters, score=score))


@pytest.mark.parametrize("beam_size", [1, 500])
def test_narrow_and_wide_beams_too(beam_size):
    model, trie, captured = searches(3, beam_size=beam_size)
    history = made_history(np.random.default_rng(4), 64)
    assert_same(captured(history), plain(model, trie, history, beam_size=beam_size))


def test_lists_of_earlier_calls_stay_as_they_are():
    model, trie, captured = searches(5)
    random = np.random.default_rng(6)
    histories = [made_history(random, int(random.integers(1, 65))) for _ in range(40)]
    found = [captured(history) for history in histories]  # buckets in any order, over one pool of memory
    for history, leaves in zip(histories, found, strict=True):
        assert_same(leaves, plain(model, trie, history))


def test_threads_with_streams_of_their_own_get_what_they_asked_for():
    model, trie, captured = searches(7)
    random = np.random.default_rng(8)
    histories = [made_history(random, int(random.integers(1, 65))) for _ in range(64)]
    torch.cuda.synchronize()

    def ask(history):
        with torch.cuda.stream(torch.cuda.Stream()):
            leaves = captured(history)
            torch.cuda.current_stream().synchronize()
        return leaves

    with ThreadPoolExecutor(4) as pool:
        for history, leaves in zip(histories, pool.map(ask, histories), strict=True):
            assert_same(leaves, plain(model, trie, history))


@pytest.mark.parametrize(("shared", "stock", "score"), [(False, True, "catalog"), (True, False, "joint")])
def test_neither_the_replayed_nor_the_plain_search_waits_for_the_gpu(shared, stock, score):
    model, trie, captured = searches(9, shared=shared, stock=stock, score=score)
    random = np.random.default_rng(10)
    cases = [(made_history(random, 3), filters) for filters in made_filters(random, trie, 3)]
    for history, filters in cases:
        captured(history, filters)  # captures wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for history, filters in cases:
            captured(history, filters)
            plain(model, trie, history, filters, score=score)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_compiled_search_is_captured_too():
    model, trie, captured = searches(11, compiled=True)
    random = np.random.default_rng(12)
    for batch_size in (1, 4):
        history = made_history(random, batch_size)
        assert_same(captured(history), plain(model, trie, history))
