"""A small untrained generator over a small catalogue, and a small shop, a tenth of whose items come later."""

import csv
import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from genrec import run_pipeline
from genrec.data.catalogue import Catalogue
from genrec.data.world import WorldConfig, make_world
from genrec.generator.config import GeneratorConfig, GeneratorOptions
from genrec.generator.model import Generator
from trie import PrefixTrie

LEVEL_SIZES = (7, 5, 3)
NUM_ITEMS = 40
CODES = np.array(list(product(*map(range, LEVEL_SIZES))))[np.random.default_rng(0).permutation(105)[:NUM_ITEMS]]

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


def make_generator(encoder="causal_items", **options):
    chosen = {"width": 16, "num_heads": 2, "feed_forward_dim": 32, "max_items": 8, "decoder_layers": 2} | options
    config = GeneratorConfig.from_options(
        GeneratorOptions(encoder=encoder, **chosen), level_sizes=LEVEL_SIZES, num_items=NUM_ITEMS
    )
    config.initializer_range = 0.3  # far from uniform, so that ranks mean something
    torch.manual_seed(0)
    generator = Generator(config).eval()
    generator.vocabulary.set_codes(torch.from_numpy(CODES))
    return generator


@pytest.fixture
def small_generator():
    return make_generator


@pytest.fixture
def codes():
    return CODES


@pytest.fixture
def prefix_trie():
    return PrefixTrie.from_codes(CODES, level_sizes=LEVEL_SIZES)


@pytest.fixture
def catalogue():
    item_ids = np.array([f"i{row:02d}" for row in range(NUM_ITEMS)])
    return Catalogue(item_ids, {"title": [f"Title {row}" for row in range(NUM_ITEMS)]})


@pytest.fixture
def score_every_item():
    """Log-probability of every item, teacher-forced: the plain twin of the beam search."""

    def score(generator, history):
        targets = torch.arange(NUM_ITEMS)[:, None]
        histories = history.expand(NUM_ITEMS, -1)
        if generator.config.encoder == "causal_items":
            spread = torch.full((NUM_ITEMS, history.shape[-1]), -1)
            spread[:, -1:] = targets
            targets = spread
        logits = generator(histories, targets).code_logits
        return sum(
            logits[level].log_softmax(-1).gather(1, torch.from_numpy(CODES[:, level])[:, None])[:, 0]
            for level in range(len(LEVEL_SIZES))
        )

    return score


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Files of a shop with 135 of a world's 150 items, of the 15 that come later, and of all."""
    folder = tmp_path_factory.mktemp("shop")
    world = make_world(WorldConfig(num_items=150, num_users=200), 0)
    late = set(np.random.default_rng(0).permutation(world.item_ids)[:15].tolist())
    table = world.interactions_table
    columns = (table["user_id"].tolist(), table["item_id"].tolist(), table["time"].tolist())
    for name, left_out in (("clicks", late), ("all_clicks", set())):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user_id", "item_id", "timestamp"])
            writer.writerows(row for row in zip(*columns, strict=True) if row[1] not in left_out)
    names = list(world.items_table)
    lines = [dict(zip(names, values, strict=True)) for values in zip(*world.items_table.values(), strict=True)]
    for name, wanted in (("items", {False}), ("late", {True}), ("all_items", {False, True})):
        chosen = [json.dumps(line) + "\n" for line in lines if (line["item_id"] in late) in wanted]
        (folder / f"{name}.jsonl").write_text("".join(chosen))
    config = {"data": {"format": "table", "interactions": "clicks.csv", "items": "items.jsonl"}}
    (folder / "shop.yaml").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def make_run(shop):
    """Brings a run of the shop to a stage; `newer`: of all items."""

    def make(out, *overrides, until="evaluate", newer=False):
        files = ("all_clicks.csv", "all_items.jsonl") if newer else ("clicks.csv", "items.jsonl")
        data = (f"data.interactions={shop / files[0]}", f"data.items={shop / files[1]}")
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
