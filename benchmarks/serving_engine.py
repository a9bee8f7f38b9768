"""Processor time of a run's engine in full batches, in a process of its own: `benchmarks.serving` compares with it."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.exact import test_histories
from genrec import Recommender
from genrec.recommendation.requests import Request
from genrec.serving.engine import Asked, Engine

BATCH = 64
CORE = 0
"""The server's."""


def cpu_ms_per_user(run: Path, num_users: int) -> float:
    """Milliseconds of processor time a user, warm."""
    engine = Engine(Recommender.from_pretrained(run))
    histories = test_histories(run, None)
    batches = [histories[start : start + BATCH] for start in range(0, min(num_users, len(histories)), BATCH)]
    full = [batch for batch in batches if len(batch) == BATCH]
    for batch in full[:8]:
        answer(engine, batch)
    began = time.process_time()
    for batch in full:
        answer(engine, batch)
    return 1000 * (time.process_time() - began) / (len(full) * BATCH)


def answer(engine: Engine, batch: Sequence[Sequence[str]]) -> None:
    """As the server asks it; an error is raised."""
    exclude = engine.recommender.config.exclude_history
    for found in engine.answer([[Asked(Request(history, 10, exclude))] for history in batch]):
        if isinstance(found, Exception):
            raise found


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    print(json.dumps({"cpu_ms_per_user": cpu_ms_per_user(Path(job["run"]), job["users"])}))
