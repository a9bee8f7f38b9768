"""Comparing runs user by user, on files made by hand."""

import json
import sys

import numpy as np
import pytest

from benchmarks import compare as benchmark
from benchmarks.compare import as_table, compare
from genrec.errors import InputError
from genrec.evaluation.case_figures import CaseFigures
from genrec.evaluation.metrics import Places

INF = np.inf


def write_run(folder, ranks, *, depth=(3, 3, 0, 1), users="abcd"):
    """A run whose generator has these ranks, and a baseline that finds nothing."""
    own, nothing = np.array(ranks, dtype=float), np.full(len(ranks), INF)
    methods = {"generator": Places(own, own), "popularity": Places(nothing, nothing)}
    folder.mkdir()
    CaseFigures(
        user_ids=np.array(list(users)),
        target_ids=np.array(["i"] * len(ranks)),
        places={"test": methods, "test_history_filtered": methods},
        survived={50: np.array(depth)},
        nll=np.zeros((len(ranks), 3), dtype=np.float32),
    ).write(folder)
    return folder


@pytest.fixture
def runs(tmp_path):
    first = [write_run(tmp_path / "a0", [0, INF, INF, 20]), write_run(tmp_path / "a1", [0, 1, INF, 20])]
    second = [
        write_run(tmp_path / "b0", [0, 1, INF, 20], depth=(3, 3, 3, 2)),
        write_run(tmp_path / "b1", [0, 1, 1, 20], depth=(3, 3, 3, 2)),
    ]
    return first, second


def test_figures_of_one_pair_are_those_of_its_users(runs):
    found = compare(runs[0][:1], runs[1][:1], ("generator", "generator"), resamples=100, seed=0)
    assert found["test recall@10"][:3] == (0.25, 0.5, 0.25)
    assert found["test_history_filtered ndcg@10"].difference == pytest.approx(1 / np.log2(3) / 4)
    assert found["beam of 50, after code 1 of 3"][:3] == (0.75, 1.0, 0.25)
    assert found["beam of 50, after code 3 of 3"][:3] == (0.5, 0.75, 0.25)


def test_seeds_are_drawn_as_users_are(runs):
    found = compare(*runs, ("generator", "generator"), resamples=2000, seed=0)["test recall@10"]
    assert found[:3] == (0.375, 0.625, 0.25) and found.by_seed == (0.25, 0.25)
    changes, random = np.array([[0, 1, 0, 0], [0, 0, 1, 0]]), np.random.default_rng(0)
    plain = [changes[random.integers(2, size=2)][:, random.integers(4, size=4)].mean() for _ in range(2000)]
    assert (found.low, found.high) == tuple(np.quantile(plain, [0.025, 0.975]))


def test_a_baseline_has_no_beam_to_compare(runs):
    found = compare(runs[0][:1], runs[0][:1], ("generator", "popularity"), resamples=10, seed=0)
    assert list(found) == [
        f"{part} {name}" for part in ("test", "test_history_filtered") for name in ("recall@10", "ndcg@10")
    ]
    assert found["test recall@10"].difference == -0.25


def test_runs_on_other_users_and_unknown_methods_are_refused(runs, tmp_path):
    other = write_run(tmp_path / "other", [0, 0, 0, 0], users="abce")
    with pytest.raises(InputError, match="other user_ids"):
        compare(runs[0][:1], [other], ("generator", "generator"), resamples=10, seed=0)
    with pytest.raises(InputError, match="no method 'tiger'; known here: generator, popularity"):
        compare(runs[0], runs[1], ("tiger", "tiger"), resamples=10, seed=0)


def test_only_intervals_without_zero_are_marked(runs):
    found = compare(runs[0][:1], runs[1][:1], ("generator", "generator"), resamples=100, seed=0)
    sure = found["test recall@10"]._replace(low=0.1, high=0.3)
    assert [line.endswith("*") for line in as_table({"x": sure, "y": sure._replace(low=-0.1)}).splitlines()] == [
        False,
        True,
        False,
    ]


def test_the_command_prints_and_writes_what_was_found(runs, tmp_path, monkeypatch, capsys):
    paths = [str(runs[side][seed]) for seed in range(2) for side in range(2)]
    monkeypatch.setattr(sys, "argv", ["compare", *paths, "--resamples", "50", "--json", str(tmp_path / "out.json")])
    benchmark.main()
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["differences"]["test recall@10"]["difference"] == 0.25
    assert "test recall@10" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare", *paths[:3]])
    with pytest.raises(SystemExit):
        benchmark.main()
