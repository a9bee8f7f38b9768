"""A shop of a small world's items, a tenth of which come after the training."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from genrec import run_pipeline
from genrec.additions.stored import read_additions
from genrec.artifacts import RunFolder
from genrec.data.world import WorldConfig, make_world
from tokenizer import SemanticIDs

SMALL = (
    "embeddings.encoder=tfidf",
    "embeddings.tfidf_dim=16",
    "tokenizer.kind=residual_kmeans",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "generator.max_items=10",
    "training.epochs=1",
    "training.batch_size=16",
    "training.validate_every_epochs=1",
    "evaluation.baselines=[]",
)


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Files of a shop with 135 of a world's 150 items, and of the 15 that come later."""
    folder = tmp_path_factory.mktemp("shop")
    world = make_world(WorldConfig(num_items=150, num_users=200), 0)
    late = set(np.random.default_rng(0).permutation(world.item_ids)[:15].tolist())
    table = world.interactions_table
    with (folder / "clicks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        rows = zip(table["user_id"].tolist(), table["item_id"].tolist(), table["time"].tolist(), strict=True)
        writer.writerows(row for row in rows if row[1] not in late)
    names = list(world.items_table)
    lines = [dict(zip(names, values, strict=True)) for values in zip(*world.items_table.values(), strict=True)]
    for name, is_late in (("items", False), ("late", True)):
        chosen = [json.dumps(line) + "\n" for line in lines if (line["item_id"] in late) == is_late]
        (folder / f"{name}.jsonl").write_text("".join(chosen))
    config = {"data": {"format": "table", "interactions": "clicks.csv", "items": "items.jsonl"}}
    (folder / "shop.yaml").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def make_run(shop):
    """Brings a run of the shop to a stage."""

    def make(out, *overrides, until="evaluate"):
        data = (f"data.interactions={shop / 'clicks.csv'}", f"data.items={shop / 'items.jsonl'}")
        return run_pipeline(shop / "shop.yaml", overrides=[*data, *SMALL, *overrides], out=out, until=until).path

    return make


@pytest.fixture(scope="session")
def finished(shop, make_run):
    """The run without the late items; tests copy it."""
    return make_run(shop / "finished")


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="session")
def late(shop):
    """Ids of the late items, in the order of their file."""
    return [json.loads(line)["item_id"] for line in (shop / "late.jsonl").read_text().splitlines()]


@pytest.fixture
def some_late_items(shop, tmp_path):
    """Writes a file with a few of the late items."""

    def write(first, last):
        path = tmp_path / f"late-{first}.jsonl"
        path.write_text("".join((shop / "late.jsonl").read_text().splitlines(keepends=True)[first:last]))
        return path

    return write


@pytest.fixture
def contents():
    """Reads all files of a run, by name, but those that adding items is meant to write."""

    def read(folder, *, without=("additions", "log.jsonl", ".lock")):
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        relative = ((path, path.relative_to(folder)) for path in files)
        return {str(name): path.read_bytes() for path, name in relative if name.parts[0] not in without}

    return read


@pytest.fixture
def table_of():
    """The IDs of a run's items and of those that were added."""

    def read(run):
        return read_additions(RunFolder(run), SemanticIDs.load(run / "semantic_ids.npz")).semantic_ids

    return read
