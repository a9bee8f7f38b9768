"""What each choice of the generator is worth: one change of the config at a time, each a whole run.

    GENREC_DATA=... python -m benchmarks.ablations configs/office.yaml --seeds 0,1,2 --json FILE
    python -m benchmarks.ablations CONFIG --only "default; dropout .4" --variant NAME:section.key=value

Runs are in OUT/<change>-<seed>; what is done there and unchanged is not repeated, and each finished run is in the JSON
at once. All share one embedding of the items. Changes are compared by NDCG@10 on validation; test figures stand beside
it and choose nothing.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import unless_the_same
from benchmarks.machine import command_line, machine, use_threads
from benchmarks.tokenizer_quality import (
    Cell,
    check_config,
    earlier_cells,
    finished_by_name,
    markdown_table,
    parsed_variant,
    shared_vectors,
)
from genrec import run_pipeline
from genrec.atomic_files import atomic_json, read_json
from genrec.config import load_config
from genrec.errors import GenRecError
from genrec.progress import for_terminal
from genrec.recommendation.loading import RANKING_FILE
from tokenizer.plain_tables import plain_table

CHANGES: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "encoder of tokens, bidirectional": ("generator.encoder=bidirectional_tokens", "generator.max_items=20"),
    "no vectors of items": ("generator.item_vectors=false",),
    "vectors of items from noise": ("training.content_start=0",),
    "no repeat bias": ("generator.repeat_bias=false",),
    "history of 20": ("generator.max_items=20",),
    "one decoder layer": ("generator.decoder_layers=1",),
    "three decoder layers": ("generator.decoder_layers=3",),
    "one encoder layer": ("generator.encoder_layers=1",),
    "width 64": ("generator.width=64", "generator.feed_forward_dim=256"),
    "width 192": ("generator.width=192", "generator.feed_forward_dim=768"),
    "dropout .2": ("generator.dropout=0.2",),
    "dropout .4": ("generator.dropout=0.4",),
    "codes by content alone": ("tokenizer.collaborative_weight=0",),
    "codes by whitened content": ("tokenizer.collaborative_weight=0", "tokenizer.opq.preparation=whiten"),
    "codes by sequences alone": ("tokenizer.kind=collaborative",),
    "codes of an RQ-VAE": ("tokenizer.kind=rqvae",),
    "codes of residual k-means": ("tokenizer.kind=residual_kmeans",),
    "four levels of codes": ("tokenizer.num_levels=4",),
    "joint scores": ("recommendation.score=joint",),
    "candidates: the beam": ("recommendation.candidates=50",),
    "no item loss": ("training.loss.item_weight=0", "recommendation.rank=codes"),
    "sampled item loss, 256": ("training.loss.item_negatives=256",),
    "no distillation": ("training.loss.distillation=0",),
    "label smoothing .1 of codes instead of distillation": (
        "training.loss.label_smoothing=0.1",
        "training.loss.distillation=0",
    ),
    "distillation alone": ("training.loss.distillation=1",),
    "label smoothing .1 of items": ("training.loss.item_label_smoothing=0.1",),
    "softmax over the whole level": ("training.loss.softmax=level", "recommendation.score=joint"),
    "APAO pointwise": ("training.loss.prefix.kind=pointwise", "training.loss.prefix.beta=0.3"),
    "APAO pairwise": (
        "training.loss.prefix.kind=pairwise",
        "training.loss.prefix.beta=0.2",
        "training.loss.prefix.eta=3e-5",
        "training.loss.prefix.target_share=0.05",
    ),
}
"""Name -> overrides."""
PARTS = ("validation", "test", "test_history_filtered", "test_codes", "test_codes_history_filtered")
_COLUMNS = {
    "validation N@10": ("validation", "ndcg@10"),
    "R@10": ("validation", "recall@10"),
    "in beam": ("validation", "candidates@50"),
    "test N@10": ("test", "ndcg@10"),
    "test R@10": ("test", "recall@10"),
    "filtered N@10": ("test_history_filtered", "ndcg@10"),
    "codes N@10": ("test_codes", "ndcg@10"),
}


def main() -> None:
    """Run the changes, print a table, write the JSON."""
    options = _parser().parse_args()
    use_threads(options.threads)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    out = options.out or Path("runs") / f"{Path(options.config).stem}-ablations"
    check_config(load_config(options.config, options.overrides), seeds)
    shared = [*options.overrides, "evaluation.baselines=[]", "evaluation.survival_beam_sizes=[50]"]
    vectors = shared_vectors(options.config, out, [*options.overrides, f"seed={seeds[0]}"])
    report = {"kind": "ablations", "config": options.config, "shared_overrides": shared}
    about = {"command": command_line("benchmarks.ablations"), **machine()}
    found = earlier_cells(options.json, report)
    for cell in cells_of(options.only, options.variant, seeds):
        overrides = [*shared, f"embeddings.file={vectors}", *cell.overrides, f"seed={cell.seed}"]
        folder = out / cell.key.replace(" ", "-").replace(",", "")
        found[cell.key] = unless_the_same(found.get(cell.key), measured(options.config, folder, cell, overrides))
        if options.json:
            atomic_json(options.json, {**report, "about": about, "mean": summarise(found.values()), "cells": found})
    print_table(summarise(found.values()), markdown=options.markdown)
    failed = [f"{key}: {cell['failed']}" for key, cell in found.items() if "failed" in cell]
    if failed:
        raise SystemExit("changes that could not be run:\n" + "\n".join(failed))


def cells_of(only: str, variants: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """The changes that are asked for by their names, all where none is, and the variants; seed by seed."""
    names = [name.strip() for name in only.split(";") if name.strip()] or list(CHANGES)
    unknown = [name for name in names if name not in CHANGES]
    if unknown:
        raise ValueError(f"there is no change called {unknown[0]!r}; expected one of: {'; '.join(CHANGES)}")
    changes = [(name, CHANGES[name]) for name in names] + [parsed_variant(variant) for variant in variants]
    return [Cell(name, seed, overrides) for seed in seeds for name, overrides in changes]


def measured(config: str, folder: Path, cell: Cell, overrides: Sequence[str]) -> dict[str, Any]:
    """Figures of one run; `failed` with the reason where it cannot be done, so that the others go on."""
    told = {"name": cell.name, "seed": cell.seed, "overrides": list(cell.overrides)}
    try:
        metrics = run_pipeline(config, out=folder, overrides=overrides, progress=for_terminal()).metrics
    except GenRecError as error:
        return {**told, "failed": str(error)}
    assert metrics is not None
    return {
        **told,
        "commit": machine()["commit"],
        **{part: metrics[part] for part in PARTS},
        "survival": metrics["diagnostics"]["survival"],
        "blend": read_json(folder / "generator" / RANKING_FILE),
        "parameters": metrics["parameters"],
        "train_seconds": metrics["seconds"]["train"],
    }


def summarise(cells: Any) -> list[dict[str, Any]]:
    """Means over the seeds of each change, the best validation NDCG@10 first; failed ones are left out."""
    rows = [_mean_of(name, runs) for name, runs in finished_by_name(cells).items()]
    return sorted(rows, key=lambda row: -row["validation"]["ndcg@10"])


def _mean_of(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "seeds": [run["seed"] for run in runs],
        "train_seconds": statistics.median(run["train_seconds"] for run in runs),
        **{part: {key: statistics.fmean(run[part][key] for run in runs) for key in runs[0][part]} for part in PARTS},
    }


def print_table(rows: Sequence[Mapping[str, Any]], *, markdown: bool) -> None:
    """One line a change, the best by validation first."""
    header = ("change", "seeds", *_COLUMNS, "training s")
    lines = [
        (
            row["name"],
            str(len(row["seeds"])),
            *(f"{row[part][figure]:.4f}" for part, figure in _COLUMNS.values()),
            f"{row['train_seconds']:.0f}",
        )
        for row in rows
    ]
    print(markdown_table(header, lines) if markdown else plain_table(header, lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What each choice of the generator is worth.")
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", help="section.key=value, for all runs")
    parser.add_argument("--only", default="", help="names of changes, separated by semicolons; default: all")
    parser.add_argument("--variant", action="append", default=[], help="name:section.key=value,...; one change more")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="figures are exact for a number")
    parser.add_argument("--out", type=Path, help="folder of the runs; default: runs/<config>-ablations")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


if __name__ == "__main__":
    main()
