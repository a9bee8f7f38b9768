"""Parts of a small run's items and histories, against the run's own vectors, codes and lists."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from genrec import Recommender, run_pipeline
from genrec.artifacts import RunFolder
from genrec.bulk.parts import do_parts, one_after_the_other
from genrec.bulk.work import Embedding, Recommending, Tokenizing
from genrec.data.prepared import read_prepared
from genrec.errors import DataError
from genrec.progress import Silence
from genrec.recommendation.files import recommend_file
from genrec.stored_ids import load_semantic_ids
from tokenizer import SemanticIDs

SMALL = (
    "data.world.num_items=150",
    "data.world.num_users=200",
    "embeddings.encoder=tfidf",
    "embeddings.tfidf_dim=16",
    "tokenizer.kind=residual_kmeans",
    "tokenizer.codebook_size=8",
    "tokenizer.collaborative_weight=0",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_pipeline("demo", overrides=SMALL, out=tmp_path_factory.mktemp("bulk") / "run", until="train").path


@pytest.fixture(scope="module")
def item_parts(run, tmp_path_factory):
    """The run's items in three files."""
    folder, catalogue = tmp_path_factory.mktemp("items"), read_prepared(run).catalogue
    for number, rows in enumerate(np.array_split(np.arange(len(catalogue)), 3)):
        lines = [
            {"item_id": str(catalogue.item_ids[row]), **{name: texts[row] for name, texts in catalogue.fields.items()}}
            for row in rows
        ]
        (folder / f"items-{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def history_parts(run, tmp_path_factory):
    """Histories of 120 users in six files, one of them of an unknown item."""
    folder, interactions = tmp_path_factory.mktemp("histories"), read_prepared(run).interactions
    for number in range(6):
        users = range(20 * number, 20 * number + 20)
        lines = [{"user_id": f"u{u}", "item_ids": interactions.item_ids[interactions.of(u)].tolist()} for u in users]
        lines += [{"user_id": "stranger", "item_ids": ["unheard-of"]}] if number == 2 else []
        (folder / f"part-{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def brought(work, source, out, runner=one_after_the_other):
    return do_parts(work, source, out, run=runner, progress=Silence())


def table(folder, column):
    return dict(duckdb.execute(f"SELECT item_id, {column} FROM read_parquet('{folder}/*.parquet')").fetchall())


def test_vectors_of_parts_are_those_of_the_run(run, item_parts, tmp_path):
    assert brought(Embedding(run), item_parts, tmp_path / "vectors").counts == {"items": 150}
    found, catalogue = table(tmp_path / "vectors", "vector"), read_prepared(run).catalogue
    vectors = np.array([found[item_id] for item_id in catalogue.item_ids.tolist()])
    np.testing.assert_allclose(vectors, np.load(RunFolder(run).embeddings), atol=1e-5)


def test_codes_of_parts_are_those_of_the_tokenizer_and_make_a_run_of_their_own(run, item_parts, tmp_path):
    brought(Embedding(run), item_parts, tmp_path / "vectors")
    assert brought(Tokenizing(run), tmp_path / "vectors", tmp_path / "codes").counts == {"items": 150}
    found, ids = table(tmp_path / "codes", "codes"), load_semantic_ids(RunFolder(run))
    codes = np.array([found[item_id] for item_id in ids.item_ids.tolist()])
    # the run moved colliding items on the last level; what comes before is as the tokenizer says
    assert (codes[:, :2] == ids.codes[:, :2]).all()
    made = run_pipeline(
        "demo", overrides=[*SMALL, f"tokenizer.codes={tmp_path / 'codes'}"], out=tmp_path / "run", until="tokenize"
    )
    assert (load_semantic_ids(RunFolder(made.path)).codes[:, :3] == codes).all()


def test_a_tokenizer_that_reads_no_vectors_is_refused(run, tmp_path):
    made = run_pipeline("demo", overrides=[*SMALL, "tokenizer.kind=random"], out=tmp_path / "run", until="index")
    with pytest.raises(DataError, match="made by random, which codes no items by their vectors"):
        Tokenizing(made.path).load()


def test_vectors_of_another_width_are_refused_by_the_name_of_their_part(run, tmp_path):
    (tmp_path / "in").mkdir()
    duckdb.execute(f"COPY (SELECT 'a' AS item_id, [1.0, 2.0] AS vector) TO '{tmp_path}/in/short.parquet'")
    with pytest.raises(DataError, match=r"short\.parquet"):
        brought(Tokenizing(run), tmp_path / "in", tmp_path / "out")


def test_lists_of_parts_are_those_of_one_file(run, history_parts, tmp_path):
    report = brought(Recommending(run, {"k": 5}), history_parts, tmp_path / "lists")
    assert report.counts == {"histories": 121, "without_known_items": 1, "exact": 0}
    for part in sorted(history_parts.iterdir()):
        alone = tmp_path / f"{part.stem}.parquet"
        recommend_file(Recommender.from_pretrained(run), part, alone, k=5)
        assert alone.read_bytes() == (tmp_path / "lists" / alone.name).read_bytes()


def test_other_options_make_other_lists(run, tmp_path):
    assert Recommending(run, {"k": 5}).fingerprint() != Recommending(run, {"k": 6}).fingerprint()
    other = shutil.copytree(run, tmp_path / "run")
    assert Recommending(other).fingerprint() == Recommending(run).fingerprint()
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("max_per_prefix: null", "max_per_prefix: 1"))
    assert Recommending(other).fingerprint() != Recommending(run).fingerprint()


def test_an_empty_part_becomes_an_empty_one(run, item_parts, tmp_path):
    items = shutil.copytree(item_parts, tmp_path / "items")
    (items / "nothing.jsonl").write_text("")
    assert brought(Embedding(run), items, tmp_path / "vectors").counts == {"items": 150}
    assert brought(Tokenizing(run), tmp_path / "vectors", tmp_path / "codes").counts == {"items": 150}
    assert (tmp_path / "codes" / "nothing.parquet").exists() and len(table(tmp_path / "codes", "codes")) == 150
    codes = SemanticIDs.read(tmp_path / "codes", collisions="keep")
    assert len(codes) == 150


def test_ray_makes_the_same_lists_though_a_worker_is_killed(run, history_parts, tmp_path):
    ray = pytest.importorskip("ray")
    from genrec.bulk.many_machines import RayRunner

    brought(Recommending(run, {"k": 5}), history_parts, tmp_path / "alone")
    killed = threading.Event()

    def kill_a_worker_after_the_first_part():
        while not list((tmp_path / "lists").glob("*.parquet")):
            time.sleep(0.01)
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            if b"ray::MapWorker" in status.read_bytes():
                os.kill(int(status.parent.name), signal.SIGKILL)
                killed.set()
                return

    thread = threading.Thread(target=kill_a_worker_after_the_first_part, daemon=True)
    thread.start()
    try:
        report = brought(
            Recommending(run, {"k": 5}), history_parts, tmp_path / "lists", RayRunner(workers=1, threads=1)
        )
    finally:
        ray.shutdown()
    assert killed.is_set()
    assert report.counts == {"histories": 121, "without_known_items": 1, "exact": 0}
    for part in sorted((tmp_path / "alone").glob("*.parquet")):
        assert part.read_bytes() == (tmp_path / "lists" / part.name).read_bytes()


def test_ray_embeds_and_codes_as_one_process_does(run, item_parts, tmp_path):
    ray = pytest.importorskip("ray")
    from genrec.bulk.many_machines import RayRunner

    by_ray = RayRunner(workers=1, threads=1)
    try:
        for work, source, name in (
            (Embedding(run), item_parts, "vectors"),
            (Tokenizing(run), tmp_path / "vectors", "codes"),
        ):
            reports = [
                brought(work, source, tmp_path / name),
                brought(work, source, tmp_path / f"{name} by Ray", by_ray),
            ]
            assert [report.counts for report in reports] == [{"items": 150}] * 2
            for part in sorted((tmp_path / name).glob("*.parquet")):
                assert part.read_bytes() == (tmp_path / f"{name} by Ray" / part.name).read_bytes()
    finally:
        ray.shutdown()
