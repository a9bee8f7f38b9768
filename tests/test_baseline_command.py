"""`genrec baseline`: trained models beside a run, in a shrunk demo world."""

import json
import shutil

import pytest
from forked import genrec

from genrec import load_config, run_pipeline
from genrec.artifacts import BASELINE_OUTPUTS
from genrec.baselines.config import BaselinesConfig
from genrec.errors import ConfigError
from genrec.evaluation.case_figures import CaseFigures
from genrec.evaluation.scorers import scorer_metrics
from genrec.training.checkpoint import CheckpointFolder

WORLD = (
    "data.world.num_items=150",
    "data.world.num_users=200",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
)
TINY = {
    "sasrec": ("width=8", "max_items=10"),
    "sasrec_content": ("width=8", "max_items=10"),
    "sasrec_one_negative": ("width=8", "feed_forward_dim=8", "max_items=10"),
    "bert4rec": ("width=8", "max_items=10"),
    "tiger": ("width=16", "num_layers=1", "num_heads=2", "head_dim=8", "feed_forward_dim=32", "beam_size=20"),
}
FIGURES = {f"{measure}@{k}" for measure in ("recall", "ndcg") for k in (5, 10, 20)} | {"candidates@50"}


def overrides(name, **training):
    options = {"epochs": 2, "batch_size": 32, "validate_every_epochs": 1, "checkpoint_every_steps": 1, **training}
    chosen = [*TINY[name], *(f"training.{key}={value}" for key, value in options.items())]
    return [*WORLD, *(f"baselines.{name}.{option}" for option in chosen)]


def trained(name, out, **training):
    return run_pipeline("demo", overrides=overrides(name, **training), out=out, until=name)


def events(run, name, event):
    log = (run / "baselines" / name / "log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, log) if entry["event"] == event]


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """A run with semantic IDs and a trie."""
    return run_pipeline("demo", overrides=WORLD, out=tmp_path_factory.mktemp("runs") / "demo", until="index").path


@pytest.fixture
def run(coded, tmp_path):
    shutil.copytree(coded, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("name", list(TINY))
def test_every_baseline_trains_and_is_measured_by_both_protocols(run, name):
    metrics = trained(name, run).metrics
    for part in ("validation", "validation_history_filtered", "test", "test_history_filtered"):
        assert set(metrics[part]) == FIGURES
    assert metrics["test"]["recall@20"] >= metrics["test"]["recall@10"] >= metrics["test"]["ndcg@10"] > 0
    assert (metrics["epochs"], metrics["ended_by"]) == (2, "epochs")
    assert metrics["parameters"] > 150 * 8 or name == "tiger"
    assert json.loads((run / "baselines" / name / "metrics.json").read_text()) == metrics
    assert (run / "baselines" / name / "model.safetensors").exists()
    assert not (run / "baselines" / name / "checkpoints").exists()
    found = CaseFigures.read(run / "baselines" / name)
    assert len(set(found.user_ids)) == len(found.user_ids)
    for protocol, places in found.places.items():
        for figure, value in scorer_metrics(places[name]).items():
            assert metrics[protocol][figure] == pytest.approx(value, rel=1e-6)
    curve = events(run, name, "validated")
    assert [point["epoch"] for point in curve] == [1, 2]
    assert 0 < curve[0]["cpu_seconds"] < curve[1]["cpu_seconds"] <= metrics["cpu_seconds"]


def test_a_baseline_without_codes_needs_only_the_prepared_data(tmp_path):
    trained("sasrec", tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / "embeddings.npy").exists()


def test_a_baseline_of_content_embeds_even_where_the_codes_need_no_content(tmp_path):
    sequential = [*overrides("sasrec_content", epochs=1), "tokenizer.kind=sequential"]
    run_pipeline("demo", overrides=sequential, out=tmp_path / "run", until="sasrec_content")
    assert (tmp_path / "run" / "embeddings.npy").exists()


def test_a_finished_baseline_is_trained_again_only_if_its_own_choices_change(run):
    first = trained("sasrec", run)
    assert trained("sasrec", run).metrics == first.metrics
    assert run_pipeline(
        "demo", overrides=[*overrides("sasrec"), "baselines.bert4rec.width=16"], out=run, until="sasrec"
    ).metrics == (first.metrics)
    assert len(events(run, "sasrec", "trained to the end")) == 1
    assert trained("sasrec", run, epochs=1).metrics["epochs"] == 1
    assert len(events(run, "sasrec", "trained to the end")) == 2


def test_baselines_make_no_stage_of_the_generator_stale(run):
    before = {path.name: path.read_text() for path in (run / "stages").glob("*.json")}
    run_pipeline("demo", overrides=[*WORLD, "baselines.sasrec.width=8"], out=run, until="index")
    assert {path.name: path.read_text() for path in (run / "stages").glob("*.json")} == before


def test_a_training_that_was_stopped_goes_on_and_ends_with_the_same_figures(run, tmp_path, monkeypatch):
    straight = tmp_path / "straight"
    shutil.copytree(run, straight)
    save = CheckpointFolder.save_last

    def save_and_stop(self, model, optimizer, state):
        save(self, model, optimizer, state)
        if state.step == 9:  # seven steps an epoch
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointFolder, "save_last", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        trained("sasrec", run)
    monkeypatch.undo()
    resumed, whole = trained("sasrec", run).metrics, trained("sasrec", straight).metrics
    assert [entry["step"] for entry in events(run, "sasrec", "resumed")] == [9]
    assert {**resumed, "seconds": 0, "cpu_seconds": 0} == {**whole, "seconds": 0, "cpu_seconds": 0}


def test_a_training_whose_time_is_up_ends_with_its_best_weights_and_is_not_converged(run):
    metrics = trained("sasrec", run, epochs=50, max_cpu_hours=1e-9).metrics
    assert (metrics["steps"], metrics["epochs"], metrics["best_step"]) == (1, 0, 1)
    assert metrics["ended_by"] == "time" and metrics["converged"] is False


def test_a_training_whose_patience_ends_it_while_its_learning_rate_is_high_is_not_converged(run):
    metrics = trained("sasrec", run, epochs=50, patience=1, **{"optimizer.learning_rate": 1e-12}).metrics
    assert metrics["ended_by"] == "patience" and metrics["converged"] is False


def test_an_evaluation_shows_the_baselines_that_are_trained_with_the_choices_of_the_run(run):
    assert "sasrec" not in run_pipeline("demo", overrides=WORLD, out=run).metrics["baselines"]
    chosen = overrides("sasrec")
    figures = run_pipeline("demo", overrides=chosen, out=run, until="sasrec").metrics
    shown = run_pipeline("demo", overrides=chosen, out=run).metrics["baselines"]["sasrec"]
    assert shown == {part: figures[part] for part in ("test", "test_history_filtered")}
    assert "sasrec" not in run_pipeline("demo", overrides=WORLD, out=run).metrics["baselines"]


def test_the_names_of_the_command_are_those_of_the_config():
    assert list(BASELINE_OUTPUTS) == list(BaselinesConfig.__dataclass_fields__) == list(TINY)


def test_an_unknown_option_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"baselines.sasrec.num_head is unknown; did you mean 'num_heads'\?"):
        load_config("demo", ["baselines.sasrec.num_head=2"])
    with pytest.raises(ConfigError, match="max_cpu_hours must be above 0"):
        load_config("demo", ["baselines.tiger.training.max_cpu_hours=0"])


def test_the_command_prints_one_json_object(run):
    done = genrec("baseline", "sasrec", run, *overrides("sasrec"), "--json", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["baseline"] == "sasrec" and set(printed["test"]) == FIGURES


def test_an_unknown_name_is_bad_usage(tmp_path):
    done = genrec("baseline", "gru4rec", "demo", cwd=tmp_path)
    assert done.returncode == 2
    assert "'gru4rec'" in done.stderr and "sasrec, sasrec_content, sasrec_one_negative, bert4rec, tiger" in done.stderr
