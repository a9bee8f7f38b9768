"""Memory of a training by the number of users, whose sequences are read a few row groups at a time.

    python -m benchmarks.streaming --users 100_000,1_000_000 --json FILE

Made users with ten interactions on average, a catalogue of 2,000 items with codes by chance, a very small generator,
one epoch and its validation. Data is prepared before; each training has a process of its own, whose peak counts.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import command_line, machine
from benchmarks.memory import peak_resident_mb
from benchmarks.own_process import measure_in_own_process
from genrec import run_pipeline
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json
from genrec.data.catalogue import Catalogue
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, write_prepared
from genrec.data.splits import leave_one_out
from tokenizer.plain_tables import plain_table

NUM_ITEMS = 2_000
OPTIONS = (
    "embeddings.encoder=tfidf",
    "embeddings.tfidf_dim=8",
    "tokenizer.kind=random",
    "tokenizer.codebook_size=64",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "generator.encoder_layers=1",
    "generator.decoder_layers=1",
    "training.epochs=1",
    "training.batch_size=1024",
    "training.validation_users=1000",
    "training.loss.item_weight=0",
    "training.loss.distillation=0",
    "recommendation.rank=codes",
)


def main() -> None:
    """Measure, print a table, write the JSON; called with a job by itself."""
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(trained(json.loads(sys.argv[1]))))
        return
    options = _parser().parse_args()
    report: dict[str, Any] = {"command": command_line("benchmarks.streaming"), **machine(), "sizes": []}
    for users in (int(users) for users in options.users.split(",")):
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            run = made_run(Path(scratch), users)
            found = measure_in_own_process("benchmarks.streaming", {"run": str(run)}, threads=options.threads)
        report["sizes"].append({"users": users, **found})
        print(table(report["sizes"]), flush=True)
        if options.json:
            atomic_json(options.json, report | {"growth": growth(report["sizes"])})


def made_run(folder: Path, num_users: int) -> Path:
    """A run that is ready for its training; made data stands where the small world's would."""
    run_pipeline("demo", overrides=["data.world.num_items=200", "data.world.num_users=50"], out=folder, until="prepare")
    random = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(3 + random.geometric(1 / 7, size=num_users))]).astype(np.int64)
    item_ids = np.array([f"item-{row:05d}" for row in range(NUM_ITEMS)])
    items = random.integers(NUM_ITEMS, size=int(offsets[-1])).astype(np.int32)
    user_ids = np.array([f"user-{user:08d}" for user in range(num_users)])
    interactions = Interactions(user_ids, item_ids, offsets, items)
    titles = {"title": [f"Item {row}" for row in range(NUM_ITEMS)]}
    write_prepared(Prepared(Catalogue(item_ids, titles), interactions, leave_one_out(interactions), {}), folder)
    run = RunFolder(folder)
    before = run.manifest("prepare")
    assert before is not None
    outputs = [folder / name for name in before.outputs]
    run.record("prepare", before.fingerprint, outputs=outputs, seconds=before.seconds)
    overrides = ["data.world.num_items=200", "data.world.num_users=50", *OPTIONS]
    run_pipeline("demo", overrides=overrides, out=folder, until="index")
    return folder


def trained(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train in this process; what it took."""
    path = Path(job["run"])
    run_pipeline(path / "config.yaml", out=path, until="train")
    log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    seconds = next(event["seconds"] for event in log if event["event"] == "stage" and event["stage"] == "train")
    return {"peak_mb": peak_resident_mb(), "seconds": seconds, "steps": log[-2]["step"]}


def growth(sizes: Sequence[Mapping[str, Any]]) -> float:
    """By which share the peak of the last size is above that of the first."""
    return sizes[-1]["peak_mb"] / sizes[0]["peak_mb"] - 1


def table(sizes: Sequence[Mapping[str, Any]]) -> str:
    """A line for each size."""
    header = ("users", "peak MB", "steps", "seconds", "growth")
    return plain_table(
        header,
        [
            (
                f"{size['users']:,}",
                f"{size['peak_mb']:,.0f}",
                f"{size['steps']:,}",
                f"{size['seconds']:,.0f}",
                f"{growth(sizes[: number + 1]):+.1%}",
            )
            for number, size in enumerate(sizes)
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Memory of a training by the number of users.")
    parser.add_argument("--users", default="100_000,1_000_000")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="where the runs are made; default: the system's")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
