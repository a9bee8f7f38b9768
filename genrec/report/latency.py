"""How long lists take on the machine that makes the report."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from genrec.recommendation.recommender import Recommender
from genrec.report.markup import Markup, paragraph, table
from genrec.report.numbers import count
from genrec.report.sections import Section

BATCH_SIZES = (1, 64)
_SECONDS, _FEWEST_CALLS, _MOST_CALLS = 2.0, 3, 100


class Latency(NamedTuple):
    """Of calls with one size of batch."""

    batch_size: int
    num_calls: int
    median_ms: float
    p95_ms: float
    users_per_s: float


def measure(
    recommend: Callable[[Sequence[Sequence[str]]], object],
    histories: Sequence[Sequence[str]],
    *,
    batch_size: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time of calls one after the other for about two seconds, after one that does not count."""
    batches = [
        [histories[(start + place) % len(histories)] for place in range(batch_size)]
        for start in range(0, _MOST_CALLS * batch_size, batch_size)
    ]
    recommend(batches[-1])
    seconds: list[float] = []
    while len(seconds) < _FEWEST_CALLS or (sum(seconds) < _SECONDS and len(seconds) < _MOST_CALLS):
        started = clock()
        recommend(batches[len(seconds)])
        seconds.append(clock() - started)
    median, p95 = np.quantile(seconds, [0.5, 0.95])
    users = batch_size * len(seconds) / sum(seconds)
    return Latency(batch_size, len(seconds), 1000 * float(median), 1000 * float(p95), users)


def latency_section(recommender: Recommender, histories: Sequence[Sequence[str]]) -> Section:
    """A row for each size of batch, and what was measured where."""
    measured = [measure(recommender.recommend, histories, batch_size=size) for size in BATCH_SIZES]
    header = ("users in a call", "calls", "median ms", "95 % of calls within ms", "users a second")
    rows = [
        [
            str(each.batch_size),
            str(each.num_calls),
            f"{each.median_ms:.1f}",
            f"{each.p95_ms:.1f}",
            f"{each.users_per_s:,.0f}",
        ]
        for each in measured
    ]
    parts = (
        paragraph(
            f"Measured when this report was made: whole calls of Recommender.recommend, one after the other, for "
            f"{count(len(histories))} test histories, lists of {recommender.config.k}, a beam of "
            f"{recommender.config.beam_size}, on {machine(recommender)}. Other work on the machine counts; a p95 far "
            "above the median is a sign of it."
        ),
        table(header, rows, caption="Latency"),
    )
    return Section("latency", "How fast is it here?", tuple(parts))


def machine(recommender: Recommender) -> str:
    """What calculates, and with how many threads."""
    device = recommender.trie.device
    threads = f"{os.cpu_count()} cores, torch with {torch.get_num_threads()} of their threads"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, beside {_processor()} ({threads})"
    return f"{_processor()}, {threads}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def not_measured() -> Markup:
    """What stands in place of the section."""
    return paragraph("Left out by --no-latency.")
