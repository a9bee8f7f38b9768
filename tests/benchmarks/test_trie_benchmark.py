"""The parts of the trie benchmark on small catalogues; what they measure is run by hand."""

import numpy as np
import pytest
import torch

from benchmarks import trie_build, trie_first_step
from benchmarks.catalogues import skewed_codes
from benchmarks.timing import timed
from benchmarks.trie import headlines, size_name, steps_table, table
from benchmarks.trie_steps import measure_steps, unconstrained
from trie import PrefixTrie
from trie.step import start, step

SIZES = (256,) * 4


@pytest.mark.parametrize("skew", [0.0, 0.7])
def test_made_ids_are_different_and_as_skewed_as_asked(skew):
    codes = skewed_codes(20_000, skew=skew)
    assert (codes.shape, codes.dtype) == ((20_000, 4), np.uint8)
    assert len(np.unique(codes, axis=0)) == 20_000
    times = np.sort(np.bincount(codes[:, 1], minlength=256))
    weights = np.arange(1, 257) ** -skew
    assert times[-10:].sum() / times.sum() == pytest.approx(weights[:10].sum() / weights.sum(), rel=0.35)


def test_seconds_are_those_of_every_run_and_their_median():
    runs = iter(range(3))
    figures = timed("count", lambda: next(runs), 3)
    assert next(runs, "none left") == "none left"
    assert sorted(figures["count_seconds_of_runs"])[1] == figures["count_seconds"] > 0


def test_a_first_step_is_taken_from_the_files(tmp_path):
    PrefixTrie.from_codes(skewed_codes(2000), level_sizes=SIZES).save(tmp_path / "trie")
    job = {"folder": str(tmp_path / "trie"), "batch_size": 2, "beam_size": 3, "threads": torch.get_num_threads()}
    figures = trie_first_step.measure(job)
    assert figures.keys() == {"load_ms", "to_ms", "step_ms"}
    assert len(figures["step_ms"]) == 4
    assert min(figures["load_ms"], figures["to_ms"], *figures["step_ms"]) > 0


def test_a_build_is_measured_for_seconds_and_memory(tmp_path):
    np.save(tmp_path / "codes.npy", skewed_codes(5000))
    figures = trie_build.measure({"codes": str(tmp_path / "codes.npy"), "dtype": "int64", "runs": 2})
    assert len(figures["build_seconds_of_runs"]) == len(figures["insert_seconds_of_runs"]) == 2
    assert figures["peak_mb"] >= 0


def test_the_top_k_that_steps_are_compared_with_ignores_the_catalogue():
    trie = PrefixTrie.from_codes(np.array([[0], [2]]), level_sizes=(3,)).to("cpu")
    logits = torch.tensor([[[0.5, 0.3, 0.2]]]).log()
    assert unconstrained(start(trie, 1), logits, 2).exp().tolist() == [pytest.approx([0.5, 0.3])]
    assert step(trie, 0, start(trie, 1), logits, beam_size=2).score.exp().tolist() == [pytest.approx([0.5, 0.2])]


def test_tables_and_headlines_name_every_size():
    trie = PrefixTrie.from_codes(skewed_codes(2000), level_sizes=SIZES).to("cpu")
    steps = measure_steps(trie, batch_size=2, beam_size=3, runs=1)
    assert len(steps["step_ms"]) == len(steps["top_k_ms"]) == 4
    build = {"build_seconds": 1.5, "insert_seconds": 2.0, "peak_mb": 30.0}
    figures = {"from_int64": build, "from_uint8": build | {"build_seconds": 1.0}, "steps": [steps]}
    figures |= {"bytes_per_item": 11.0, "bytes_per_item_uniform": 10.5, "mmap_first_step_ms": 9.0}
    figures |= {"mmap_every_level_ms": 30.0, "save_seconds": 0.3, "load_seconds": 0.001, "load_verified_seconds": 0.1}
    found = headlines({"1m": figures, "10m": figures | {"bytes_per_item": 10.8}})
    assert (found["build_seconds_1m"], found["bytes_per_item_1m"], found["bytes_per_item_10m"]) == (1.5, 11.0, 10.8)
    assert found["mmap_first_step_ms_10m"] == 9.0
    assert table({"1m": figures}).splitlines()[1].split()[:6] == ["1m", "11.00", "10.50", "1.500", "1.000", "2.000"]
    assert steps_table({"1m": figures}).splitlines()[1].split()[:3] == ["1m", "2", "3"]
    assert [size_name(size) for size in (20_000, 1_000_000, 10_000_000, 1234)] == ["20k", "1m", "10m", "1234"]
