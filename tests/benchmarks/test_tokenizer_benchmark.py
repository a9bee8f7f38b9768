"""The pure parts of the tokenizer benchmarks; what they measure is run by hand."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.coded import Coded, figures_of
from benchmarks.memory import AnonymousPeak
from benchmarks.own_process import MeasurementError
from benchmarks.peer_faiss import FAISS_SETTINGS, FaissSetting, code_by_faiss
from benchmarks.peer_residual_vq import RESIDUAL_VQ_SETTINGS, ResidualVQSetting, code_by_residual_vq
from benchmarks.sweeps import Comparison, Swept, best_within, by_error, candidates, row_of, sweep
from benchmarks.tokenizer import METHODS, table
from benchmarks.tokenizer_methods import measure
from benchmarks.tokenizer_quality import (
    earlier_cells,
    grid,
    markdown_table,
    others_than_tokenizer,
    parsed_variant,
    summarise,
)
from benchmarks.vectors import clustered_chunks, content_sha256, write_clustered
from genrec.atomic_files import atomic_json

SETTINGS = ("slow and good", "quick", "quicker but bad")
ROWS = [
    {"error": error, "seconds": seconds, "unique": 1.0, "settings": {"name": name}}
    for name, error, seconds in zip(SETTINGS, (0.1, 0.2, 0.3), (9.0, 2.0, 1.0), strict=True)
]
COMPARISON = Comparison(Path("nowhere.npy"), num_levels=2, codebook_size=8, seeds=(0, 1, 2), threads=1)


def run(error, seconds, usage=(1.0, 0.5)):
    figures = {"error": error, "unique": 0.9, "usage": list(usage), "seconds": seconds}
    return figures | {"fit_seconds": seconds - 0.5, "encode_seconds": 0.5}


def cell(name, seed, validation):
    parts = {part: {"recall@10": 0.1, "ndcg@10": 0.05} for part in ("test_codes", "test_codes_history_filtered")}
    figures = {"recall@10": 2 * validation, "ndcg@10": validation}
    plain = {"fit_seconds": 1.0, "train_seconds": 2.0, "collision_rate": 0.0, "items_that_share_an_id": 0}
    return {"name": name, "seed": seed, "validation": figures, **parts, **plain, "id_length": 4}


@pytest.fixture(scope="module")
def vectors():
    return np.concatenate(list(clustered_chunks(400, dim=16, num_clusters=20, seed=0)))


def test_figures_of_codes_that_two_of_four_items_share():
    coded = Coded(np.array([[0, 0], [0, 0], [0, 1], [1, 0]]), (2, 4), np.zeros((4, 1), np.float32), 1.5, 0.5)
    figures = figures_of(coded, np.array([[1.0], [-1.0], [2.0], [-2.0]], dtype=np.float32))
    assert figures["usage"] == [1.0, 0.5] and figures["unique"] == 0.5
    assert figures["error"] == 1.0 and figures["seconds"] == 2.0  # zero is the mean: no better than that


def test_a_row_holds_medians_over_the_runs():
    runs = [run(0.3, 5.0), run(0.1, 1.0, usage=(0.5, 0.5)), run(0.2, 3.0)]
    row = row_of({"runs": runs, "peak_mb": 7.0}, settings={"a": 1})
    assert (row["error"], row["seconds"], row["usage"], row["peak_mb"]) == (0.2, 3.0, [1.0, 0.5], 7.0)
    assert row["seconds_all"] == [5.0, 1.0, 3.0] and row["settings"] == {"a": 1}


@pytest.mark.parametrize(("seconds", "best"), [(None, 0), (9.0, 0), (2.0, 1), (1.5, 2), (0.1, 2)])
def test_the_best_within_a_time_is_the_least_error_or_else_the_fastest(seconds, best):
    assert candidates(ROWS, seconds=seconds)[0] is ROWS[best]


def test_a_setting_whose_median_is_too_slow_gives_way_to_the_next(monkeypatch):
    medians = {"slow and good": 9.0, "quick": 2.1, "quicker but bad": 1.0}

    def measured(comparison, method, setting, **_):
        return {"runs": [run(0.2, medians[setting["name"]])] * 3, "peak_mb": 1.0}

    monkeypatch.setattr("benchmarks.sweeps.measured", measured)
    row = best_within(COMPARISON, "faiss", Swept(by_error(ROWS), [], left_out=0), seconds=2.0)
    assert row["settings"] == {"name": "quicker but bad"} and row["within_time"]
    assert row["best_any_time"]["settings"] == {"name": "slow and good"}


def test_a_sweep_keeps_failures_apart_and_uses_the_first_seed(monkeypatch):
    seeds_seen = []

    def measured(comparison, method, setting, *, seeds, **_):
        seeds_seen.append(seeds)
        if setting["train_beam"] == 2:
            raise MeasurementError("took longer than 1 s")
        return {"runs": [run(1 / setting["train_beam"], 1.0)], "peak_mb": 1.0}

    monkeypatch.setattr("benchmarks.sweeps.measured", measured)
    swept = sweep(COMPARISON, "faiss", [FaissSetting(beam) for beam in (1, 2, 4)], most_seconds=60.0)
    assert [row["error"] for row in swept.rows] == [0.25, 1.0] and seeds_seen == [(0,)] * 3
    assert [failure["reason"] for failure in swept.failed] == ["took longer than 1 s"]


def test_a_sweep_that_is_out_of_time_counts_what_it_leaves_out():
    swept = sweep(COMPARISON, "faiss", [FaissSetting(beam) for beam in (1, 2, 4)], most_seconds=-1.0)
    assert swept == Swept([], [], left_out=3)


def test_no_setting_is_listed_twice():
    for settings in (FAISS_SETTINGS, RESIDUAL_VQ_SETTINGS):
        assert len(set(settings)) == len(settings)


def test_peers_give_codes_that_stand_for_their_reconstruction(vectors):
    by_faiss = code_by_faiss(vectors, setting=FaissSetting(2, 5), num_levels=2, codebook_size=8, seed=0)
    by_vq = code_by_residual_vq(
        vectors, setting=ResidualVQSetting(), num_levels=2, codebook_size=8, seed=0, train_seconds=0.2
    )
    for coded in (by_faiss, by_vq):
        assert coded.codes.shape == (400, 2) and coded.codes.min() >= 0 and coded.codes.max() < 8
        assert 0.1 < figures_of(coded, vectors)["error"] < 0.9
        _, first = np.unique(coded.codes, axis=0, return_index=True)
        assert len(np.unique(coded.reconstruction.round(4), axis=0)) == len(first)


def test_faiss_is_refused_a_size_that_is_no_power_of_two(vectors):
    with pytest.raises(ValueError, match="powers of two, but codebook_size is 6"):
        code_by_faiss(vectors, setting=FaissSetting(), num_levels=2, codebook_size=6, seed=0)


def test_measuring_a_method_gives_a_run_for_each_seed(tmp_path, vectors):
    np.save(tmp_path / "vectors.npy", vectors)
    job = {"vectors": str(tmp_path / "vectors.npy"), "method": "ResidualKMeans", "setting": {}, "num_levels": 2}
    found = measure(job | {"codebook_size": 8, "seeds": [0, 1], "train_seconds": None})
    assert len(found["runs"]) == 2 and found["peak_mb"] >= 0
    assert all(0 < one["error"] < 1 and len(one["usage"]) == 2 for one in found["runs"])


def test_the_table_has_a_line_for_each_method():
    report = {name: row_of({"runs": [run(0.2, 1.0)], "peak_mb": 3.2}, settings={}) for name in METHODS}
    lines = table({**report, "about": {}}).splitlines()
    assert len(lines) == 1 + len(METHODS) and lines[1].split()[:3] == ["RQVAE", "0.2000", "100/50"]


def test_anonymous_memory_of_an_array_of_80_mb_is_seen():
    with AnonymousPeak(every_seconds=0.001) as memory:
        np.ones(10_000_000).sum()
    assert 75 < memory.grown_mb < 120


def test_made_vectors_on_disk_are_those_in_memory(tmp_path, vectors):
    write_clustered(tmp_path / "made.npy", 400, dim=16, num_clusters=20, seed=0)
    assert content_sha256(np.load(tmp_path / "made.npy", mmap_mode="r")) == content_sha256(vectors)
    assert not np.array_equal(next(clustered_chunks(400, dim=16, num_clusters=20, seed=1)), vectors)


def test_the_grid_is_every_kind_with_every_strategy_and_the_variants_seed_by_seed():
    cells = grid(
        ["rqvae", "fsq"], ["keep"], ["wide:tokenizer.rqvae.hidden_sizes=[64,32],tokenizer.num_levels=4"], [0, 1]
    )
    assert [one.key for one in cells] == [
        "rqvae-keep-0",
        "fsq-keep-0",
        "wide-0",
        "rqvae-keep-1",
        "fsq-keep-1",
        "wide-1",
    ]
    assert cells[0].overrides == ("tokenizer.kind=rqvae", "tokenizer.collisions=keep")
    assert cells[2].overrides == ("tokenizer.rqvae.hidden_sizes=[64,32]", "tokenizer.num_levels=4")


@pytest.mark.parametrize("text", ["wide", "wide:", ":a=1", "wide:levels", "a/b:seed=1"])
def test_a_variant_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="expected a variant as name:section"):
        parsed_variant(text)


def test_cells_of_one_name_are_refused():
    with pytest.raises(ValueError, match="several are called fsq-keep"):
        grid(["fsq"], ["keep"], ["fsq-keep:seed=1"], [0])


def test_the_summary_averages_seeds_and_ranks_by_validation():
    cells = [cell("a", 0, 0.1), cell("b", 0, 0.3), cell("a", 1, 0.2), {"name": "c", "seed": 0, "failed": "no"}]
    summary = summarise(cells)
    assert [row["name"] for row in summary] == ["b", "a"]
    assert summary[1]["validation"]["ndcg@10"] == pytest.approx(0.15) and summary[1]["seeds"] == [0, 1]


def test_cells_of_another_grid_are_not_taken_over(tmp_path):
    atomic_json(
        tmp_path / "grid.json", {"config": "a", "shared_overrides": [], "cells": {"x": {}, "y": {"failed": "no"}}}
    )
    assert earlier_cells(tmp_path / "grid.json", {"config": "a", "shared_overrides": []}) == {"x": {}}
    with pytest.raises(ValueError, match="holds another grid"):
        earlier_cells(tmp_path / "grid.json", {"config": "a", "shared_overrides": ["training.epochs=2"]})


def test_markdown_has_its_numbers_to_the_right():
    assert markdown_table(["cell", "R"], [["a", "1"]]) == "| cell | R |\n| --- | ---: |\n| a | 1 |"


def test_what_a_cell_changes_besides_the_ids_keeps_it_from_taking_over_figures():
    assert others_than_tokenizer(["tokenizer.kind=opq", "generator.width=64", "data.k_core=2"]) == [
        "data.k_core=2",
        "generator.width=64",
    ]
