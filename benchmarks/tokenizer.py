"""Tokenizers side by side on the same vectors, sizes and threads: error, usage, unique codes, seconds, memory.

    python -m benchmarks.tokenizer VECTORS.npy --json FILE        # vectors of one's own
    GENREC_DATA=... python -m benchmarks.tokenizer --dataset beauty --json FILE
    python -m benchmarks.tokenizer --scale 1000000 --dim 384 --json FILE

Each method runs in a process of its own, one after the other. The peers are swept over their settings (peer_faiss,
peer_residual_vq) with the first seed, and the best setting is then measured with all seeds. `--scale` measures residual
k-means alone on many made vectors that lie on disk (tokenizer_scale).
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import command_line, machine
from benchmarks.peer_faiss import FAISS_SETTINGS
from benchmarks.peer_residual_vq import RESIDUAL_VQ_SETTINGS
from benchmarks.sweeps import Comparison, best_within, measured, row_of, sweep
from benchmarks.tokenizer_methods import FAISS, OWN, RESIDUAL_VQ
from benchmarks.tokenizer_scale import Scale, measure_scale
from benchmarks.vectors import content_sha256, dataset_vectors, write_clustered
from genrec.atomic_files import atomic_json
from genrec.fingerprints import plain
from tokenizer.plain_tables import percent, plain_table

METHODS = (*OWN, FAISS, RESIDUAL_VQ)
_MADE = {"num_items": 5000, "dim": 64, "num_clusters": 500, "seed": 0}
_QUICK_SETTINGS = 2
_QUICK_OVERRIDES: Mapping[str, dict[str, Any]] = {name: {"epochs": 20} for name in ("RQVAE", "RQVAE (default)", "FSQ")}


def main() -> None:
    """Measure, print a table, write the JSON."""
    options = _parser().parse_args()
    about = {"command": command_line("benchmarks.tokenizer"), **machine(), "threads": options.threads}
    with tempfile.TemporaryDirectory(prefix="genrec-benchmark-") as folder:
        if options.scale:
            report = {**measure_scale(_scale(options), Path(folder), threads=options.threads), "about": about}
            print_figures(report)
        else:
            report = compare(options, about, Path(folder))
            print(table(report))
    if options.json:
        atomic_json(options.json, report)


def compare(options: argparse.Namespace, about: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Rows of all methods asked for, under their names; `options.json` is written after each of them."""
    path = _vectors(options, folder)
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    seeds = list(range(1 if options.quick else options.runs))
    comparison = Comparison(path, options.levels, options.codebook_size, seeds, options.threads)
    source = options.dataset or (str(options.vectors) if options.vectors else f"made: {_MADE}")
    found = {"source": source, "shape": list(vectors.shape), "sha256": content_sha256(vectors)}
    sizes = {"num_levels": options.levels, "codebook_size": options.codebook_size}
    about |= {**sizes, "seeds": seeds, "vectors": found, "budget_seconds": options.budget_seconds}
    rows: dict[str, Any] = {}
    for name in METHODS:
        if options.methods and name not in options.methods:
            continue
        if name == RESIDUAL_VQ and about["budget_seconds"] is None:
            about["budget_seconds"] = _budget(rows)
        rows[name] = _row(name, comparison, options, rows, about["budget_seconds"])
        print(f"{name}: {rows[name]['seconds']:.1f} s, error {rows[name]['error']:.4f}", file=sys.stderr)
        if options.json:
            atomic_json(options.json, {**rows, "about": about})
    return {**rows, "about": about}


def _row(
    name: str, comparison: Comparison, options: argparse.Namespace, rows: Mapping[str, Any], budget: float | None
) -> dict[str, Any]:
    """Figures of one method; of a peer with its sweep."""
    if name in OWN:
        overrides = _QUICK_OVERRIDES.get(name, {}) if options.quick else {}
        settings = plain(replace(OWN[name][1], **overrides))
        return row_of(measured(comparison, name, overrides), settings=settings)
    settings = {FAISS: FAISS_SETTINGS, RESIDUAL_VQ: RESIDUAL_VQ_SETTINGS}[name]
    if options.quick:
        settings = settings[:_QUICK_SETTINGS]
    if name == RESIDUAL_VQ:
        swept = sweep(comparison, name, settings, most_seconds=options.sweep_seconds, train_seconds=budget)
        return best_within(comparison, name, swept, seconds=None, train_seconds=budget)
    swept = sweep(
        comparison, name, settings, most_seconds=options.sweep_seconds, setting_seconds=options.setting_seconds
    )
    limit = rows["ResidualKMeans"]["seconds"] if "ResidualKMeans" in rows else None
    return best_within(comparison, name, swept, seconds=limit)


def _budget(rows: Mapping[str, Any]) -> float:
    """Seconds that RQVAE trained for, which ResidualVQ gets as well."""
    if "RQVAE" not in rows:
        raise SystemExit("ResidualVQ trains as long as RQVAE did: measure both, or give --budget-seconds")
    return rows["RQVAE"]["fit_seconds"]


def _scale(options: argparse.Namespace) -> Scale:
    sizes = {"num_levels": options.levels, "codebook_size": options.codebook_size}
    made = {"dim": options.dim, "num_clusters": options.clusters}
    return Scale(options.scale, **made, **sizes, for_reconstruction=options.reconstruction)


def _vectors(options: argparse.Namespace, folder: Path) -> Path:
    if options.vectors:
        return options.vectors
    if options.dataset:
        return dataset_vectors(options.dataset)
    path = folder / "vectors.npy"
    write_clustered(path, **_MADE)
    return path


def table(report: Mapping[str, Any]) -> str:
    """One line a method."""
    header = "method", "error", "usage", "unique", "seconds", "fit", "encode", "peak MB"
    rows = [
        (
            name,
            f"{row['error']:.4f}",
            "/".join(f"{100 * share:.0f}" for share in row["usage"]) + " %",
            percent(row["unique"]),
            *(f"{row[key]:.2f}" for key in ("seconds", "fit_seconds", "encode_seconds")),
            f"{row['peak_mb']:.0f}",
        )
        for name, row in report.items()
        if name != "about"
    ]
    return plain_table(header, rows)


def print_figures(report: Mapping[str, Any]) -> None:
    """One line a figure."""
    for name, figure in report.items():
        if name != "about":
            print(f"{name:<28}{figure if not isinstance(figure, float) else f'{figure:,.2f}'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizer", description="Tokenizers side by side.")
    parser.add_argument("vectors", nargs="?", type=Path, help=".npy, float32, a row an item; default: made clusters")
    parser.add_argument("--dataset", choices=("office", "beauty"), help="the items of configs/DATASET.yaml")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--codebook-size", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3, help="seeds 0, 1, ...; figures are medians")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=f"of: {', '.join(METHODS)}")
    parser.add_argument("--budget-seconds", type=float, help="ResidualVQ's training; default: as long as RQVAE's fit")
    parser.add_argument("--sweep-seconds", type=float, default=3600.0, help="no new setting of a peer after these")
    parser.add_argument("--setting-seconds", type=float, default=300.0, help="longer settings of faiss are ended")
    parser.add_argument("--quick", action="store_true", help="few settings, few epochs, one run: does it work?")
    parser.add_argument("--scale", type=int, metavar="ITEMS", help="residual k-means alone, on so many made vectors")
    parser.add_argument("--dim", type=int, default=384, help="of --scale")
    parser.add_argument("--clusters", type=int, default=2000, help="of --scale")
    parser.add_argument("--reconstruction", action="store_true", help="--scale with the config for reconstruction")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
