"""The tables of results: what they show of which JSON, and that they are not stale."""

import json
import sys

import pytest

from benchmarks import results
from benchmarks.ablation_table import ablation_section
from benchmarks.results import (
    data_name,
    made_by,
    read_results,
    replaced,
    rows_of,
    section,
    short_rows,
    short_section,
    shown,
    table_line,
)

PARTS = ("test", "test_history_filtered", "test_codes", "test_codes_history_filtered")


def figures(first):
    names = ("recall@5", "ndcg@5", "recall@10", "ndcg@10", "candidates@50")
    return {name: first + place / 100 for place, name in enumerate(names)}


def run(first=0.1, **more):
    found = {part: figures(first + place / 10) for place, part in enumerate(PARTS)}
    baselines = {"transitions": {"test": figures(0.5), "test_history_filtered": figures(0.6)}}
    return {**found, "baselines": baselines, "users": 1200, "items": 30, "seconds": {"train": 90.0}} | more


def quality(*runs, **more):
    return {
        "kind": "quality",
        "command": "python -m benchmarks.quality configs/office.yaml",
        "commit": "0123456789abcdef",
        "machine": "A processor, 2 cores, 2 threads",
        "threads": 2,
        "python": "3.11",
        "torch": "2.13",
        "config": "configs/office.yaml",
        "variant": "",
        "protocol": "leave_one_out",
        "seeds": list(range(len(runs))),
        "runs": {str(seed): found for seed, found in enumerate(runs)},
    } | more


def test_both_documents_show_what_is_in_the_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["results", "--check"])
    results.main()


def test_figures_are_shown_with_four_places_and_their_spread_over_seeds():
    assert shown([0.05183]) == ".0518"
    assert shown([0.05, 0.06]) == ".0550 ± .0071"  # standard deviation of two: their distance over sqrt 2
    assert shown([1.0, 1.0]) == "1.0000 ± .0000"


def test_a_line_has_both_protocols_and_what_the_model_costs():
    result = quality(run(parameters=1_234_567))
    blend, codes, counting = rows_of(result)
    assert table_line(blend, "Office generator") == (
        "| Office generator | .1000 | .1100 | .1200 | .1300 | .1400 | "
        "| .2000 | .2100 | .2200 | .2300 | .2400 | 1.23 M | 1.5 |"
    )
    assert table_line(codes, "x").startswith("| x | .3000 ") and " | .4000 | " in table_line(codes, "x")
    assert table_line(counting, "y").endswith("| .6000 | .6100 | .6200 | .6300 | .6400 | | |")


def test_the_item_head_alone_stands_behind_the_readings_of_the_generator():
    item_head = {part: figures(0.8) for part in ("test", "test_history_filtered")}
    rows = rows_of(quality(run(item_head=item_head), variant="wide"))
    assert rows[2].method == "its item head over all items (wide)" and rows[2].seeds[0] is item_head


def test_what_an_older_file_did_not_measure_stays_empty():
    older = run()
    del older["baselines"]["transitions"]["test"]["candidates@50"]
    assert table_line(rows_of(quality(older))[2], "y").startswith("| y | .5000 | .5100 | .5200 | .5300 | | | .6000 ")


def test_a_run_ranked_by_codes_has_one_row_and_counting_has_no_spread():
    by_codes = [run() | {part: figures(0.3 + seed / 10) for part in PARTS} for seed in range(2)]
    rows = rows_of(quality(*by_codes))
    assert [row.method for row in rows] == ["generator, codes", "transitions (counting)"]
    assert [len(row.seeds) for row in rows] == [2, 1]


def test_trained_baselines_have_their_own_parameters_and_the_quickest_seeds_seconds():
    runs = []
    for seed in range(3):
        trained = {part: figures(0.7) for part in ("validation", "test", "test_history_filtered")}
        found = run(seconds={"train": 600.0 - seed})
        found["baselines"]["sasrec"] = {**trained, "parameters": 500_000, "seconds": 60.0 + seed}
        runs.append(found)
    rows = {row.method: row for row in rows_of(quality(*runs, variant="wide"))}
    assert list(rows) == ["generator, blend (wide)", "generator, codes (wide)", "sasrec", "transitions (counting)"]
    assert (rows["sasrec"].parameters, rows["sasrec"].training_seconds, len(rows["sasrec"].seeds)) == (500_000, 60, 3)
    assert rows["generator, codes (wide)"].training_seconds == 598


def test_below_the_table_stands_how_to_make_it_again():
    line = made_by("office.json", quality(run(), run(), remarks="Beside other work."))
    assert line == (
        "- Office: 1,200 users, 30 items, leave-one-out, seeds 0, 1; "
        "`python -m benchmarks.quality configs/office.yaml` at 012345678, "
        "A processor, 2 cores, 2 threads, torch 2.13 (`benchmarks/results/office.json`). "
        "Beside other work."
    )


def test_only_quality_files_are_read_and_a_variant_comes_after_the_plain_file(tmp_path):
    files = {"a.json": quality(run(), variant="wide"), "b.json": quality(run()), "trie.json": {"settings": []}}
    for name, result in files.items():
        (tmp_path / name).write_text(json.dumps(result))
    found = read_results(tmp_path)
    assert list(found) == ["b.json", "a.json"]
    assert {data_name(result) for result in found.values()} == {"Office"}
    assert section(found).count("**Office**") == 2


@pytest.mark.parametrize("missing", ["commit", "threads", "seeds"])
def test_a_file_that_cannot_be_made_again_is_refused(tmp_path, missing):
    result = quality(run())
    del result[missing]
    (tmp_path / "a.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=rf"a\.json lacks {missing}"):
        read_results(tmp_path)


def test_only_what_stands_between_the_marks_is_replaced():
    readme = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"
    assert replaced(readme, "new\n", name="x.md") == "before\n<!-- results -->\nnew\n<!-- /results -->\nafter\n"
    with pytest.raises(ValueError, match=r"in x\.md, each once"):
        replaced("no marks", "new", name="x.md")


@pytest.mark.parametrize("stale", ["README.md", "results.md", "ablations.md"])
def test_a_stale_document_fails_the_check_and_is_mended_by_the_command(tmp_path, monkeypatch, stale):
    readme, document, choices = (tmp_path / name for name in ("README.md", "results.md", "ablations.md"))
    for path in (readme, document, choices):
        path.write_text("<!-- results -->\nold\n<!-- /results -->\n")
    (tmp_path / "a.json").write_text(json.dumps(quality(run())))
    (tmp_path / "b.json").write_text(json.dumps(ablations(cell("default", 0.1))))
    documents = ["--readme", str(readme), "--document", str(document), "--ablations", str(choices)]
    here = ["results", *documents, "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", here)
    results.main()
    assert "| in 50 |" in document.read_text() and "| in 50 |" not in readme.read_text()
    right = (tmp_path / stale).read_text()
    (tmp_path / stale).write_text(right.replace("| N@10", "| another"))
    monkeypatch.setattr(sys, "argv", [*here, "--check"])
    with pytest.raises(SystemExit, match=r"run: python -m benchmarks\.results"):
        results.main()
    monkeypatch.setattr(sys, "argv", here)
    results.main()
    assert (tmp_path / stale).read_text() == right
    monkeypatch.setattr(sys, "argv", [*here, "--check"])
    results.main()


def test_ablations_stand_below_the_default_by_their_validation():
    cells = [cell("worse", 0.1), cell("better", 0.3, "training.epochs=2", "seed=1"), cell("default", 0.2)]
    failed = {"name": "impossible", "seed": 0, "overrides": [], "failed": "no such kind"}
    lines = ablation_section({"b.json": ablations(*cells, failed)}).splitlines()
    assert lines[3] == "| default |  | 0 | .2300 |  | .2400 | .3300 | .4300 | .6300 | 1.23 M |"
    assert lines[4].startswith("| better | `training.epochs=2` `seed=1` | 0 | .3300 | +.1000 |")
    assert lines[5].startswith("| worse |  | 0 | .1300 | -.1000 |")
    assert not any("impossible" in line for line in lines)
    assert "Office; `python -m benchmarks.ablations configs/office.yaml` at 012345678, A" in lines[7]


def test_an_ablation_of_several_seeds_has_their_mean_and_spread_and_each_commit():
    cells = [cell("default", 0.1), cell("default", 0.2) | {"seed": 1}, cell("other", 0.2) | {"commit": "f" * 40}]
    lines = ablation_section({"b.json": ablations(*cells)}).splitlines()
    assert lines[3].startswith("| default |  | 0, 1 | .1800 ± .0707 |")
    assert lines[4].startswith("| other |  | 0 | .2300 | +.1000 |")  # against the default of the same seed, .13
    assert "at 012345678 (2), fffffffff (1), A" in lines[6]


def test_ablations_without_a_default_are_refused():
    with pytest.raises(ValueError, match=r"b\.json has no default"):
        ablation_section({"b.json": ablations(cell("better", 0.3))})


def cell(name, first, *overrides):
    parts = {part: figures(first + place / 10) for place, part in enumerate(("validation", *PARTS))}
    told = {"name": name, "seed": 0, "overrides": list(overrides), "commit": "0123456789abcdef"}
    return {**told, "parameters": 1_234_567, **parts}


def ablations(*cells):
    about = {"machine": "A processor", "torch": "2.13"}
    found = {f"{each['name']}-{each['seed']}": each for each in cells}
    return {"kind": "ablations", "config": "configs/office.yaml", "about": about, "cells": found}


def test_a_baseline_stands_once_beside_all_variants():
    plain, other = quality(run()), quality(run(0.2), variant="deeper")
    table = section({"a.json": plain, "b.json": other}).splitlines()
    assert sum("transitions (counting)" in line for line in table) == 1
    assert sum("generator, blend (deeper)" in line for line in table) == 1


def with_baselines(found, **first):
    trained = {name: {part: figures(at) for part in ("test", "test_history_filtered")} for name, at in first.items()}
    found["baselines"] |= {name: {**part, "parameters": 1, "seconds": 60.0} for name, part in trained.items()}
    return found


def test_the_short_table_has_the_best_sasrec_and_the_tiger_of_any_file():
    item_head = {part: figures(0.7) for part in PARTS[:2]}
    plain = quality(with_baselines(run(item_head=item_head), sasrec=0.2, sasrec_content=0.3, bert4rec=0.9))
    other = quality(with_baselines(run(0.2), tiger=0.1), variant="seed 0")
    assert [row.method for row in short_rows([plain, other])] == [
        "generator, blend",
        "generator, codes",
        "its item head over all items",
        "sasrec_content",
        "tiger",
        "transitions (counting)",
    ]
    table = short_section({"a.json": plain, "b.json": other})
    assert "| Office sasrec_content | .3200 | .3300 | .3200 | .3300 | 0.00 M | 1.0 |" in table
    assert "| Office transitions (counting) | .5200 | .5300 | .6200 | .6300 | | |" in table
