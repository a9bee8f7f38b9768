"""The whole way, on a shrunk demo world, by the same function and command line that users have."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forked import genrec

from genrec import Recommender, load_config, run_pipeline
from genrec.artifacts import RunFolder
from genrec.data.prepared import read_prepared
from genrec.data.splits import test_cases as cases_of_test
from genrec.errors import ArtifactError, DataError
from genrec.evaluation.case_figures import CaseFigures
from genrec.evaluation.metrics import expected_metrics_at
from genrec.tables import diagnostics_table

ROOT = Path(__file__).parent.parent
SMALL = (
    "data.world.num_items=150",
    "data.world.num_users=300",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=3",
    "training.batch_size=16",
    "training.validate_every_epochs=1",
    "training.checkpoint_every_steps=1",
)


def command(*arguments):
    return [sys.executable, "-m", "genrec", *map(str, arguments)]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def kill_when_a_checkpoint_is_there(*arguments, cwd):
    """kill -9 in the middle of the training: after its fifth step, before its last."""
    process = subprocess.Popen(command(*arguments), cwd=cwd, env=environment(), stderr=subprocess.DEVNULL)
    try:
        while not any(int(path.name.split("-")[1]) >= 5 for path in cwd.glob("*/checkpoints/last-*")):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the shrunk world: its folder and figures."""
    return run_pipeline("demo", overrides=SMALL, out=tmp_path_factory.mktemp("runs") / "demo")


def test_a_run_leaves_every_part_of_the_run_folder(finished):
    for name in (
        "config.yaml",
        "items.parquet",
        "sequences.parquet",
        "embeddings.npy",
        "tokenizer",
        "semantic_ids.npz",
        "trie",
        "generator/model.safetensors",
        "metrics.json",
        "log.jsonl",
    ):
        assert (finished.path / name).exists(), name
    assert not (finished.path / "checkpoints").exists()


def test_metrics_have_the_documented_figures(finished):
    metrics = json.loads((finished.path / "metrics.json").read_text())
    names = {f"{measure}@{k}" for measure in ("recall", "ndcg") for k in (5, 10, 20)}
    for part in ("validation", "test", "test_history_filtered", "test_codes", "test_codes_history_filtered"):
        assert set(metrics[part]) == names | {"candidates@50"}
    for baseline in ("popularity", "transitions", "item_knn"):
        for part in ("test", "test_history_filtered"):
            assert set(metrics["baselines"][baseline][part]) == names | {"candidates@50"}
    assert metrics["users"] == 300 and metrics["items"] == 150
    assert set(metrics["seconds"]) == {"prepare", "embed", "tokenize", "index", "train", "evaluate"}
    assert metrics == finished.metrics


def test_a_run_says_why_its_figures_are_what_they_are(finished):
    found, cases = finished.metrics["diagnostics"], CaseFigures.read(finished.path)
    assert found["survival"]["50"][-1] == pytest.approx(finished.metrics["test"]["candidates@50"])
    assert len(found["nll"]["generator"]) == len(found["survival"]["10"]) == cases.nll.shape[1]
    for protocol in ("test", "test_history_filtered"):
        assert set(found["coverage"][protocol]) == set(cases.places[protocol])
        for method, figures in {"generator": finished.metrics, **finished.metrics["baselines"]}.items():
            again = expected_metrics_at(cases.places[protocol][method], (10,))
            assert again["ndcg@10"] == pytest.approx(figures[protocol]["ndcg@10"])
            for parts in found["slices"].values():
                hits = [part["cases"] * (part[protocol][method]["recall@10"] or 0) for part in parts.values()]
                assert sum(hits) == pytest.approx(300 * figures[protocol]["recall@10"])
    printed = diagnostics_table(finished.metrics)
    assert "targets in a beam of 50" in printed and "NLL, generator" in printed


def test_nobody_beats_the_oracle_by_more_than_chance(finished):
    oracle = finished.metrics["oracle"]["test"]["recall@10"]
    for figures in [finished.metrics, *finished.metrics["baselines"].values()]:
        assert figures["test"]["recall@10"] <= oracle + 0.05


def test_every_list_has_items_of_the_catalogue_once_each_and_none_of_the_history(finished):
    recommender = Recommender.from_pretrained(finished.path)
    prepared = read_prepared(finished.path)
    interactions, cases = prepared.interactions, cases_of_test(prepared.interactions, prepared.splits)
    histories = [
        prepared.catalogue.item_ids[interactions.items[interactions.offsets[user] : end]].tolist()
        for user, end in zip(cases.users, cases.ends, strict=True)
    ]
    for history, found in zip(histories, recommender.recommend(histories, k=10), strict=True):
        ids = [entry.item_id for entry in found]
        assert len(set(ids)) == len(ids) == 10
        assert set(ids) <= set(prepared.catalogue.row_of)
        assert not set(ids) & set(history)


def test_a_finished_run_does_nothing_again(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*.npz")}
    again = run_pipeline("demo", overrides=SMALL, out=finished.path)
    assert again.metrics == finished.metrics
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*.npz")} == before


def test_a_changed_choice_repeats_only_what_depends_on_it(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    run_pipeline("demo", overrides=[*SMALL, "evaluation.baselines=[popularity]"], out=copy)
    log = [json.loads(line) for line in (copy / "log.jsonl").read_text().splitlines()]
    stages = [entry["stage"] for entry in log if entry.get("event") == "stage"]
    assert stages == ["prepare", "embed", "tokenize", "index", "train", "evaluate", "evaluate"]


def test_a_cap_and_a_narrow_beam_train_nothing_again_and_show_in_the_figures(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    # 8 first codes, so that a list holds at most 8 items
    options = ("recommendation.max_per_prefix=1", "recommendation.beam_mass=0.9", "evaluation.baselines=[]")
    changed = run_pipeline("demo", overrides=[*SMALL, *options], out=copy)
    log = [json.loads(line) for line in (copy / "log.jsonl").read_text().splitlines()]
    stages = [entry["stage"] for entry in log if entry.get("event") == "stage"]
    assert stages == ["prepare", "embed", "tokenize", "index", "train", "evaluate", "evaluate"]
    assert changed.metrics["test"]["recall@10"] == changed.metrics["test"]["recall@20"]
    assert finished.metrics["test"]["recall@10"] < finished.metrics["test"]["recall@20"]


def test_the_command_line_does_what_run_pipeline_does(finished, tmp_path):
    done = genrec("run", "demo", *SMALL, "--out", tmp_path / "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    expected = {name: figures for name, figures in finished.metrics.items() if name != "seconds"}
    assert {name: printed[name] for name in expected} == expected


def test_a_killed_training_goes_on_and_ends_with_the_same_figures(finished, tmp_path):
    kill_when_a_checkpoint_is_there("run", "demo", *SMALL, "--out", tmp_path / "run", cwd=tmp_path)
    resumed = genrec("run", "demo", *SMALL, "--out", tmp_path / "run", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [entry["step"] for entry in log if entry.get("event") == "resumed"]
    assert len(steps) == 1 and steps[0] >= 5
    printed = json.loads(resumed.stdout)
    expected = {name: figures for name, figures in finished.metrics.items() if name != "seconds"}
    assert {name: printed[name] for name in expected} == expected


def test_ready_made_codes_need_no_embeddings(finished, tmp_path):
    semantic_ids = np.load(finished.path / "semantic_ids.npz")
    table = dict(zip(semantic_ids["item_ids"].tolist(), semantic_ids["codes"].tolist(), strict=True))
    (tmp_path / "codes.json").write_text(json.dumps(table))
    out = tmp_path / "run"
    run_pipeline("demo", overrides=[*SMALL, f"tokenizer.codes={tmp_path / 'codes.json'}"], out=out)
    assert not (out / "embeddings.npy").exists()
    assert len(Recommender.from_pretrained(out).recommend([["I00001"]], k=5)[0]) == 5


def test_the_bidirectional_encoder_runs_the_same_way(tmp_path):
    overrides = [*SMALL, "generator.encoder=bidirectional_tokens", "training.epochs=1", "data.world.num_users=60"]
    result = run_pipeline("demo", overrides=overrides, out=tmp_path / "run")
    assert 0 <= result.metrics["test"]["recall@10"] <= 1


def test_ids_of_another_run_are_refused(finished, tmp_path):
    other = run_pipeline("demo", overrides=[*SMALL, "seed=1", "training.epochs=1"], out=tmp_path / "other")
    for part in ("semantic_ids.npz", "trie"):
        mixed = tmp_path / f"mixed-{part}"
        shutil.copytree(finished.path, mixed)
        if (mixed / part).is_dir():
            shutil.rmtree(mixed / part)
            shutil.copytree(other.path / part, mixed / part)
        else:
            shutil.copy(other.path / part, mixed / part)
        with pytest.raises(ArtifactError, match=part.split(".")[0]):
            Recommender.from_pretrained(mixed)


def test_bad_data_leaves_no_run_folder_behind(tmp_path):
    (tmp_path / "clicks.csv").write_text("user_id,article\nu1,a\n")
    config = replace(load_config("demo", SMALL), data=csv_data(tmp_path / "clicks.csv"))
    with pytest.raises(DataError, match="item_id"):
        run_pipeline(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def csv_data(path):
    from genrec.data.sources import DataConfig

    return DataConfig(format="table", interactions=str(path))


def test_two_runs_of_one_program_may_differ_in_precision(tmp_path):
    for precision in ("fp32", "bf16", "fp32"):
        overrides = [*SMALL, "training.epochs=1", "data.world.num_users=60", f"training.mixed_precision={precision}"]
        assert run_pipeline("demo", overrides=overrides, out=tmp_path / precision).metrics


def test_a_run_folder_in_use_is_not_touched(finished):
    with RunFolder(finished.path).lock(), pytest.raises(ArtifactError, match="in use"):
        run_pipeline("demo", overrides=SMALL, out=finished.path)


def test_two_processes_train_one_generator(tmp_path):
    out = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "genrec", "train", "demo", *SMALL, "training.epochs=1", "--out", str(out)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["stage"] for entry in log if entry["event"] == "stage"] == [
        "prepare",
        "embed",
        "tokenize",
        "index",
        "train",
    ]
    assert len(Recommender.from_pretrained(out).recommend([["I00001"]], k=5)[0]) == 5
