"""The first beam step of a process that opens a saved trie: milliseconds from the file to the beams.

`python -m benchmarks.trie` starts this module in a process of its own, after it has read every file once.
"""

import json
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.own_process import measure_in_own_process
from trie import PrefixTrie
from trie.step import start, step


def measure_first_step(folder: Path, *, batch_size: int, beam_size: int, threads: int) -> dict[str, Any]:
    """`load_ms`, `to_ms`, and `step_ms` of each level, of a new process that has imported everything."""
    job = {"folder": str(folder), "batch_size": batch_size, "beam_size": beam_size, "threads": threads}
    return measure_in_own_process("benchmarks.trie_first_step", job, threads=threads)


def main() -> None:
    """Measure what the job says; the figures go to stdout as one line of JSON."""
    print(json.dumps(measure(json.loads(sys.argv[1]))))


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Open, move, and take one step of each level, on random logits that were there before."""
    torch.set_num_threads(job["threads"])
    batch, beam_size = job["batch_size"], job["beam_size"]
    level_sizes = PrefixTrie.load(job["folder"], verify=False).level_sizes
    random = torch.Generator().manual_seed(0)
    logits = [torch.randn(batch, beam_size, size, generator=random) for size in level_sizes]
    times = [time.perf_counter()]
    trie = PrefixTrie.load(job["folder"], mmap=True, verify=False)
    times.append(time.perf_counter())
    view = trie.to("cpu")
    times.append(time.perf_counter())
    beams = start(view, batch)
    for level, each in enumerate(logits):
        beams = step(view, level, beams, each[:, : beams.node.shape[1]], beam_size=beam_size)
        times.append(time.perf_counter())
    load_ms, to_ms, *step_ms = [1e3 * (end - begin) for begin, end in pairwise(times)]
    return {"load_ms": load_ms, "to_ms": to_ms, "step_ms": step_ms}


if __name__ == "__main__":
    main()
