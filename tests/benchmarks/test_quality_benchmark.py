"""The benchmark of quality on a shrunk world: its JSON has the form that the README's table needs."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import quality
from benchmarks.results import read_results, rows_of


@pytest.fixture
def measured(small_world, tmp_path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    words = ["demo", *small_world, "--seeds", "3", "--out", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["quality", *words, "--json", str(tmp_path / "demo.json")])
    quality.main()
    assert torch.get_num_threads() == threads
    return tmp_path, json.loads((tmp_path / "demo.json").read_text()), capsys.readouterr().out


def test_the_json_has_what_the_table_needs_and_the_runs_what_was_measured(measured, small_world):
    folder, report, printed = measured
    assert list(read_results(folder)) == ["demo.json"]
    run = report["runs"]["3"]
    assert run["parameters"] > 1000 and run["lists"]["unknown_items"] == 0
    assert set(run["blend"]) == {"blend_weight", "validation_ndcg@10"}
    parts = {"survival", "nll", "slices", "coverage", "popular_share_of_targets", "alarms"}
    assert set(run["diagnostics"]) == parts
    assert report["mean_and_spread"]["test"]["ndcg@10"] == {"mean": run["test"]["ndcg@10"], "spread": 0.0}
    names = [row.method for row in rows_of(report)]
    assert names[-3:] == ["popularity (counting)", "transitions (counting)", "item_knn (counting)"]
    assert "transitions test_history_filtered" in printed
    # the command that is written down asks for the same runs, threads included
    again = quality.arguments().parse_args(shlex.split(report["command"])[3:])
    assert (again.config, tuple(again.overrides), again.seeds) == ("demo", small_world, "3")
    assert again.threads == report["threads"] == torch.get_num_threads()


def test_trained_baselines_are_trained_before_the_evaluation_and_kept_whole(tmp_path, monkeypatch):
    asked, trained = [], {"test": {"recall@10": 0.2}, "parameters": 7, "seconds": 1.5}

    class Result:
        def __init__(self, metrics):
            self.metrics = metrics

    def bring(config, *, out, overrides, progress, until="evaluate"):
        asked.append((until, overrides[-1], Path(out).name))
        # tiger was trained beside the run before, and is not asked for
        baselines = {"transitions": {}, "tiger": {"test": {}}}
        return Result(dict(trained) if until == "sasrec" else {"baselines": baselines, "test": {}})

    monkeypatch.setattr(quality, "run_pipeline", bring)
    monkeypatch.setattr(quality, "read_json", lambda path: {"blend_weight": 0.5})
    monkeypatch.setattr(quality, "check_lists", lambda folder: {})
    validated = {"event": "validated", "epoch": 1, "step": 9, "cpu_seconds": 2.5, "ndcg@10": 0.1}
    (tmp_path / "office-2" / "baselines" / "sasrec").mkdir(parents=True)
    log = tmp_path / "office-2" / "baselines" / "sasrec" / "log.jsonl"
    # a validation that was broken off and made again counts once
    log.write_text("".join(json.dumps(line) + "\n" for line in [{"event": "resumed"}, validated, validated]))
    options = quality.arguments().parse_args(["configs/office.yaml", "--out", str(tmp_path)])
    found = quality.run_seed(options, 2, ["sasrec"])
    assert asked == [("sasrec", "seed=2", "office-2"), ("evaluate", "seed=2", "office-2")]
    curve = [{"epoch": 1, "step": 9, "cpu_seconds": 2.5, "ndcg@10": 0.1}]
    assert found["baselines"] == {"transitions": {}, "sasrec": {**trained, "curve": curve}}


def test_mean_and_spread_are_over_the_seeds():
    runs = [{part: dict.fromkeys(quality.FIGURES, value) for part in quality.PROTOCOLS} for value in (0.1, 0.3)]
    found = quality.summarise(runs)["test_codes"]["ndcg@10"]
    assert found == {"mean": pytest.approx(0.2), "spread": pytest.approx(0.1 * 2**0.5)}
