"""Building a trie from codes of one type, in a process of its own: seconds, and memory besides the codes."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.catalogues import CODES_PER_LEVEL
from benchmarks.memory import AnonymousPeak
from benchmarks.own_process import measure_in_own_process
from benchmarks.timing import timed
from trie import PrefixTrie

NEW_ROWS = 1000


def measure_build(codes: Path, dtype: str, *, runs: int, threads: int) -> dict[str, Any]:
    """`build_seconds`, `insert_seconds` (of appending the last rows and building again), and `peak_mb`.

    `peak_mb`: how much the memory grows in a build, the trie itself included, in 10^6 bytes.
    """
    job = {"codes": str(codes), "dtype": dtype, "runs": runs}
    return measure_in_own_process("benchmarks.trie_build", job, threads=threads)


def main() -> None:
    """Measure what the job says; the figures go to stdout as one line of JSON."""
    print(json.dumps(measure(json.loads(sys.argv[1]))))


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Build once for the memory, then several times for the seconds."""
    codes = np.load(job["codes"], allow_pickle=False).astype(job["dtype"])
    sizes = (CODES_PER_LEVEL,) * codes.shape[1]
    with AnonymousPeak(every_seconds=0.002) as memory:
        PrefixTrie.from_codes(codes, level_sizes=sizes)
    old, new = codes[:-NEW_ROWS], codes[-NEW_ROWS:]
    return {
        "peak_mb": memory.grown_mb,
        **timed("build", lambda: PrefixTrie.from_codes(codes, level_sizes=sizes), job["runs"]),
        **timed("insert", lambda: PrefixTrie.from_codes(np.concatenate([old, new]), level_sizes=sizes), job["runs"]),
    }


if __name__ == "__main__":
    main()
