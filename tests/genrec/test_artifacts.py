"""The run folder: stages that are done or not, logs, locks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genrec.artifacts import STAGE_OUTPUTS, RunFolder, is_run_folder
from genrec.errors import ArtifactError


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config.write_text("seed: 0\n")
    return folder


def make_trie(run: RunFolder) -> None:
    run.prefix_trie.mkdir()
    (run.prefix_trie / "codes.bin").write_bytes(b"12345")
    (run.prefix_trie / "header.json").write_text("{}")


def test_a_folder_is_a_run_when_it_holds_a_config(run, tmp_path):
    assert is_run_folder(run.path)
    assert not is_run_folder(tmp_path)
    assert RunFolder.open(run.path).path == run.path
    with pytest.raises(ArtifactError, match=r"it has no config.yaml; make one with `genrec run CONFIG --out"):
        RunFolder.open(tmp_path)
    with pytest.raises(ArtifactError, match="does not exist"):
        RunFolder.open(tmp_path / "nothing")


def test_the_parts_have_the_documented_names(run):
    parts = [run.config, run.items, run.sequences, run.embeddings, run.tokenizer, run.semantic_ids, run.prefix_trie]
    parts += [run.generator, run.metrics, run.log, run.report]
    assert " ".join(part.name for part in parts) == (
        "config.yaml items.parquet sequences.parquet embeddings.npy tokenizer semantic_ids.npz trie "
        "generator metrics.json log.jsonl report"
    )


def test_a_recorded_stage_is_done_for_its_own_fingerprint_only(run):
    make_trie(run)
    assert not run.is_done("index", "abc")
    manifest = run.record("index", "abc", outputs=["trie"], seconds=1.5)
    assert manifest.outputs == {"trie/codes.bin": 5, "trie/header.json": 2}
    assert run.is_done("index", "abc")
    assert not run.is_done("index", "abd")
    assert run.manifest("index") == manifest


def test_a_stage_whose_file_is_gone_or_has_another_size_is_not_done(run):
    make_trie(run)
    run.record("index", "abc", outputs=[], seconds=1.0)
    (run.prefix_trie / "codes.bin").write_bytes(b"1234")
    assert not run.is_done("index", "abc")
    with pytest.raises(ArtifactError, match=r"codes.bin has 4 bytes, 5 were written; recommend needs it; make it with"):
        run.require("index", "recommend")
    (run.prefix_trie / "codes.bin").unlink()
    assert not run.is_done("index", "abc")


def test_a_forgotten_stage_is_not_done_and_keeps_its_files(run):
    make_trie(run)
    run.record("index", "abc", outputs=[], seconds=1.0)
    run.forget("index")
    run.forget("index")
    assert not run.is_done("index", "abc")
    assert (run.prefix_trie / "codes.bin").exists()


def test_outputs_are_given_as_paths_of_the_run_or_as_names(run, monkeypatch):
    monkeypatch.chdir(run.path.parent)
    make_trie(run)
    relative = RunFolder("run")
    (run.path / "more").write_bytes(b"123")
    for outputs in (["more", "trie"], [relative.path / "more", relative.prefix_trie]):
        assert list(relative.record("index", "a", outputs=outputs, seconds=1.0).outputs) == [
            "trie/codes.bin",
            "trie/header.json",
            "more",
        ]


def test_a_stage_cannot_be_recorded_without_its_outputs(run):
    with pytest.raises(ArtifactError, match=r"stage embed ended without .*embeddings.npy"):
        run.record("embed", "abc", outputs=[], seconds=1.0)
    run.embeddings.write_bytes(b"1")
    with pytest.raises(ArtifactError, match=r"stage embed ended without .*embeddings.json"):
        run.record("embed", "abc", outputs=["embeddings.json"], seconds=1.0)


def test_an_unknown_stage_is_a_value_error_that_names_the_stages(run):
    with pytest.raises(ValueError, match=r"prepare, embed, .*, evaluate, .*, got 'tokenise'"):
        run.is_done("tokenise", "abc")


def test_a_damaged_manifest_counts_as_not_done_and_is_an_error_to_those_who_need_it(run):
    make_trie(run)
    run.record("index", "abc", outputs=[], seconds=1.0)
    for text in ("{", "[]", "{}", '{"fingerprint": "abc", "seconds": "x", "outputs": {}}', '{"fingerprint": 1}'):
        (run.stages / "index.json").write_text(text)
        assert not run.is_done("index", "abc")
        with pytest.raises(ArtifactError, match=r"index\.json"):
            run.require("index", "recommend")


def test_seconds_add_up_over_the_parts_of_a_resumed_stage(run):
    make_trie(run)
    run.embeddings.write_bytes(b"1")
    run.record("index", "abc", outputs=[], seconds=2.0, earlier_seconds=3.5)
    run.record("embed", "abc", outputs=[], seconds=1.0)
    assert run.seconds() == {"embed": 1.0, "index": 5.5}
    assert list(run.seconds()) == ["embed", "index"]


def test_a_missing_part_is_named_with_the_command_that_makes_it(run):
    with pytest.raises(ArtifactError) as caught:
        run.require("tokenize", "recommend")
    assert str(caught.value) == (
        f"{run.semantic_ids} is missing, which recommend needs; make it with `genrec tokenize {run.path}`"
    )


def test_a_part_of_an_interrupted_stage_does_not_count_as_made(run):
    make_trie(run)
    with pytest.raises(ArtifactError, match="is not finished, which recommend needs"):
        run.require("index", "recommend")
    manifest = run.record("index", "abc", outputs=[], seconds=1.0)
    assert run.require("index", "recommend") == manifest


def test_stages_come_in_the_order_of_the_pipeline():
    assert list(STAGE_OUTPUTS) == ["prepare", "embed", "tokenize", "index", "train", "evaluate"]


def test_every_event_is_one_json_line_with_its_time(run):
    run.append_log({"event": "resumed", "step": 3}, unix_s=12.5)
    run.append_log({"loss": float("nan"), "text": "two\nlines"})
    first, second = (json.loads(line) for line in run.log.read_text().splitlines())
    assert first == {"time": 12.5, "event": "resumed", "step": 3}
    assert (second["loss"], second["text"]) == ("nan", "two\nlines")
    assert second["time"] > 1.7e9


def test_a_line_torn_by_a_killed_process_is_cut_off_before_the_next(run):
    run.append_log({"step": 1}, unix_s=0.0)
    for torn in ('{"time": 1, "st', ""):
        with run.log.open("a") as file:
            file.write(torn)
        run.append_log({"step": 2}, unix_s=0.0)
    assert [json.loads(line)["step"] for line in run.log.read_text().splitlines()] == [1, 2, 2]


def test_a_log_that_is_one_torn_line_starts_again(run):
    run.log.write_text('{"time"')
    run.append_log({"step": 2}, unix_s=0.0)
    assert json.loads(run.log.read_text())["step"] == 2


def test_a_second_holder_is_refused_with_the_pid_of_the_first(run):
    with run.lock(), pytest.raises(ArtifactError, match=f"is in use by pid {os.getpid()};"), RunFolder(run.path).lock():
        pass
    with run.lock():
        pass


def test_another_process_holds_the_lock_until_it_is_killed(run):
    code = (
        "import sys, time\nfrom genrec.artifacts import RunFolder\n"
        "with RunFolder(sys.argv[1]).lock():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(ArtifactError, match=f"is in use by pid {process.pid};"), run.lock():
                pass
        finally:
            process.kill()
    with run.lock():
        pass


def test_a_lock_is_released_when_the_work_fails(run):
    with pytest.raises(RuntimeError), run.lock():
        raise RuntimeError
    with run.lock():
        pass


def test_locking_makes_the_folder_and_refuses_one_with_other_things_in_it(tmp_path):
    with RunFolder(tmp_path / "a" / "b").lock():
        assert (tmp_path / "a" / "b").is_dir()
    with RunFolder(tmp_path / "a" / "b").lock():  # stopped before its config was written
        pass
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"is not empty and not a run folder .*'a'"), RunFolder(tmp_path).lock():
        pass
    with pytest.raises(ArtifactError, match="is a file"), RunFolder(tmp_path / "notes.txt").lock():
        pass


def test_locking_clears_what_a_killed_process_left_half_written(run):
    make_trie(run)
    (run.prefix_trie / ".tmp-1-codes.bin").write_bytes(b"1")
    (run.path / ".tmp-2-generator").mkdir()
    (run.path / ".tmp-2-generator" / ".tmp-3-x").write_bytes(b"1")
    with run.lock():
        left = sorted(file.name for file in run.path.rglob("*"))
    assert left == [".lock", "codes.bin", "config.yaml", "header.json", "trie"]
