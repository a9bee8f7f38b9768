"""The parts of the decoding benchmark on a small catalogue; what they measure is run by hand."""

import pytest
import torch

from benchmarks.decode import Plan, _parser, device_name, sweep
from benchmarks.searches import Catalogue, latencies, medians
from trie import DenyRows


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.made(600)


def test_both_ways_find_the_same_rows_with_filters_and_without(catalogue):
    replayed = catalogue._replace(way="graphs")
    best = catalogue.search(3, 5)()
    assert best.shape == (3, 5) and torch.equal(replayed.search(3, 5)(), best)
    deny = lambda users: DenyRows.from_rows(catalogue.trie, best[users, :1].tolist())  # noqa: E731
    others = catalogue.search(3, 4, deny)()
    assert torch.equal(others, best[:, 1:]) and torch.equal(replayed.search(3, 4, deny)(), others)


def test_without_a_trie_both_ways_find_the_same_codes_which_no_item_need_have(catalogue):
    codes = catalogue.unconstrained(3, 5)()
    assert codes.shape == (3, 5, 4)
    assert torch.equal(catalogue._replace(way="graphs").unconstrained(3, 5)(), codes)
    items = set(map(tuple, catalogue.codes.tolist()))
    assert not all(tuple(found) in items for found in codes.flatten(0, 1).tolist())


def test_a_run_that_is_not_the_first_counts():
    calls = iter(range(100))
    assert medians({"a": lambda: next(calls), "b": lambda: next(calls)}, runs=3).keys() == {"a", "b"}
    assert next(calls) == 8
    figures = latencies(lambda: next(calls), batch=64, runs=5)
    assert next(calls) == 9 + 6
    assert figures["users_per_second"] == pytest.approx(64_000 / figures["p50_ms"])


def test_a_gpu_is_measured_in_four_ways_and_compilers_come_last():
    cpu, gpu = (Plan.of(_parser().parse_args(words)) for words in ([], ["--device", "cuda", "--quick"]))
    assert (cpu.ways, cpu.batches, cpu.sizes[1]) == (("eager",), (1, 64), 1_000_000)
    assert (gpu.ways[0], gpu.batches, gpu.sizes[1]) == ("graphs", (1, 64, 256), 20_000)
    assert [way for way in gpu.ways if "compiled" in way] == list(gpu.ways[2:])
    assert device_name("cpu") == "cpu"


def test_a_sweep_names_size_beam_batch_and_way(catalogue):
    plan = Plan("cpu", (600,), ("graphs", "eager", "compiled"), (2,), runs=1)
    names = [f"20k, beam {beam}, batch 2, {way}" for way in ("graphs", "eager") for beam in (10, 50, 500)]
    assert list(sweep("20k", catalogue, plan)) == names
