"""The benchmark of beam and candidates on a small run: every width has its figures, wider ones never fewer items."""

import json
import sys

from benchmarks import widths as benchmark
from benchmarks.widths import PARTS, shown
from genrec import run_pipeline


def test_every_width_is_measured_and_the_whole_catalogue_is_what_the_item_head_finds(
    small_world, tmp_path, monkeypatch, capsys
):
    run = run_pipeline("demo", overrides=small_world, out=tmp_path / "run", until="train").path
    words = [str(run), "--beams", "20,80", "--candidates", "20,80", "--users", "4", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["widths", *words, "--json", str(tmp_path / "widths.json")])
    benchmark.main()
    found = json.loads((tmp_path / "widths.json").read_text())
    assert [(row["beam_size"], row["candidates"]) for row in found["widths"]] == [(20, 20), (20, 80), (80, 80)]
    assert all(row["time_ratio"] > 0 and 0 <= row["blend_weight"] <= 1 for row in found["widths"])
    # a beam of all 80 items loses none of them, so that its best blend is no worse than the item head alone
    assert found["widths"][-1]["validation"]["ndcg@10"] >= found["item_head"]["validation"]["ndcg@10"] - 1e-6
    assert "all" in capsys.readouterr().out


def test_the_item_head_has_the_last_line():
    figures = {part: {"recall@10": 0.25, "ndcg@10": 0.125} for part in PARTS}
    row = {"beam_size": 50, "candidates": 200, "blend_weight": 0.7, "time_ratio": 1.0, **figures}
    lines = shown([row], figures).splitlines()
    assert lines[1].split() == ["50", "200", "0.7", *["0.2500", "0.1250"] * 3, "1.00"]
    assert lines[2].split()[:3] == ["all", "all", "1"]
