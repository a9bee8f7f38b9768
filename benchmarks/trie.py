"""The trie at 20 thousand, one million and ten million different IDs of 4 x 256 codes, drawn with Zipf's law.

    python -m benchmarks.trie --json FILE
    python -m benchmarks.trie --sizes 20000 --runs 1          # does it work?

Seconds to build, to save, to load and to take in new rows, bytes an item, milliseconds from a saved trie to the first
beams in a process of its own (trie_first_step), and a beam step against an unconstrained top-k (trie_steps).
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.catalogues import CODES_PER_LEVEL, SKEW, skewed_codes
from benchmarks.machine import command_line, machine
from benchmarks.timing import timed
from benchmarks.trie_build import measure_build
from benchmarks.trie_first_step import measure_first_step
from benchmarks.trie_steps import measure_steps
from genrec.atomic_files import atomic_json
from tokenizer.plain_tables import plain_table
from trie import PrefixTrie

SIZES = (20_000, 1_000_000, 10_000_000)
LEVELS = 4
DTYPES = ("int64", "uint8")
FIRST_STEP = {"batch_size": 64, "beam_size": 50}
STEPS = [{"batch_size": batch, "beam_size": beam} for batch in (64, 1) for beam in (50, 500)]
_LEVEL_SIZES = (CODES_PER_LEVEL,) * LEVELS


def main() -> None:
    """Measure, print tables, write the JSON."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    about = {
        "command": command_line("benchmarks.trie"),
        **machine(),
        "threads": options.threads,
        "runs": options.runs,
        "rows": f"different, {LEVELS} x {CODES_PER_LEVEL} codes, skew {SKEW}, seed 0",
    }
    figures = {size_name(size): measure(size, options) for size in options.sizes}
    print(table(figures), steps_table(figures), sep="\n\n")
    if options.json:
        atomic_json(options.json, {**headlines(figures), "sizes": figures, "about": about})


def measure(num_rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one catalogue; seconds and milliseconds are medians, beside all that were taken."""
    codes = skewed_codes(num_rows)
    uniform = PrefixTrie.from_codes(skewed_codes(num_rows, skew=0.0), level_sizes=_LEVEL_SIZES)
    trie = PrefixTrie.from_codes(codes, level_sizes=_LEVEL_SIZES)
    figures: dict[str, Any] = {
        "num_rows": num_rows,
        "num_nodes": list(trie.num_nodes),
        "bytes_per_item": trie.nbytes / num_rows,
        "bytes_per_item_uniform": uniform.nbytes / num_rows,
    }
    with tempfile.TemporaryDirectory(prefix="genrec-benchmark-") as folder:
        np.save(Path(folder) / "codes.npy", codes, allow_pickle=False)
        for dtype in DTYPES:
            found = measure_build(Path(folder) / "codes.npy", dtype, runs=options.runs, threads=options.threads)
            figures[f"from_{dtype}"] = found
        figures |= _file_figures(trie, Path(folder) / "trie", options)
    view = trie.to("cpu")
    figures["steps"] = [measure_steps(view, **shape, runs=options.step_runs) for shape in STEPS]
    return figures


def _file_figures(trie: PrefixTrie, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Of the files; the page cache holds all of them when they are read."""
    figures = timed("save", lambda: trie.save(folder), options.runs)
    figures |= timed("load_verified", lambda: PrefixTrie.load(folder, verify=True), options.runs)
    figures |= timed("load", lambda: PrefixTrie.load(folder, verify=False), options.runs)
    processes = [measure_first_step(folder, **FIRST_STEP, threads=options.threads) for _ in range(options.runs)]
    opened = [run["load_ms"] + run["to_ms"] for run in processes]
    first = [ms + run["step_ms"][0] for ms, run in zip(opened, processes, strict=True)]
    every = [ms + sum(run["step_ms"]) for ms, run in zip(opened, processes, strict=True)]
    figures |= {"mmap_first_step_ms": statistics.median(first), "mmap_every_level_ms": statistics.median(every)}
    return figures | {"mmap_processes": processes}


def headlines(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The main figures of every size under names like `build_seconds_1m`.

    `build_seconds`: from codes of eight bytes each. `mmap_first_step_ms`: load without verification, to("cpu"), and the
    step of the first level; `mmap_every_level_ms`: with the steps of the other levels.
    """
    names = ("bytes_per_item", "bytes_per_item_uniform", "mmap_first_step_ms", "mmap_every_level_ms")
    build_seconds = {f"build_seconds_{size}": found["from_int64"]["build_seconds"] for size, found in figures.items()}
    return build_seconds | {f"{name}_{size}": found[name] for size, found in figures.items() for name in names}


def size_name(num_rows: int) -> str:
    """20k, 1m, 10m."""
    for unit, letter in ((1_000_000, "m"), (1000, "k")):
        if num_rows % unit == 0:
            return f"{num_rows // unit}{letter}"
    return str(num_rows)


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """One line a size."""
    header = ("rows", "bytes an item", "uniform", "build s", "from uint8 s", "insert s", "peak MB")
    seconds = ("save", "load_verified", "load")
    rows = [
        (
            size,
            *(f"{found[name]:.2f}" for name in ("bytes_per_item", "bytes_per_item_uniform")),
            *(f"{found[f'from_{dtype}']['build_seconds']:.3f}" for dtype in DTYPES),
            f"{found['from_int64']['insert_seconds']:.3f}",
            f"{found['from_int64']['peak_mb']:.0f}",
            *(f"{found[f'{name}_seconds']:.3f}" for name in seconds),
            *(f"{found[f'mmap_{name}_ms']:.1f}" for name in ("first_step", "every_level")),
        )
        for size, found in figures.items()
    ]
    return plain_table((*header, "save s", "verify s", "load s", "first step ms", "every level ms"), rows)


def steps_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """One line a size, batch and beam: milliseconds of a step and of a top-k alone, level by level."""
    header = ("rows", "batch", "beam", *(f"level {level}: step / top-k ms" for level in range(LEVELS)))
    rows = [
        (
            size,
            str(found["batch_size"]),
            str(found["beam_size"]),
            *(f"{a:.2f} / {b:.2f}" for a, b in zip(found["step_ms"], found["top_k_ms"], strict=True)),
        )
        for size, of_size in figures.items()
        for found in of_size["steps"]
    ]
    return plain_table(header, rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trie", description="The trie's storage and speed.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="ROWS")
    parser.add_argument("--runs", type=int, default=3, help="of builds, files and processes; figures are medians")
    parser.add_argument("--step-runs", type=int, default=15, help="of a beam step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
