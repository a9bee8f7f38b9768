"""Quantiser x uniqueness strategy -> recommendation quality by codes: a grid of whole runs.

    GENREC_DATA=... python -m benchmarks.tokenizer_quality configs/office.yaml --kinds rqvae,residual_kmeans \
        --collisions extra_code,balanced --epochs 12 --seeds 0 --json FILE

Each cell is a run in OUT/<kind>-<strategy>-<seed>; what is done there and unchanged is not repeated, and each finished
cell is in the JSON at once. All cells share one embedding of the items; a cell whose semantic IDs equal those of an
earlier one with the same seed (strategies differ only where codes collide) takes over its figures and says so. The best
cell is the one with the highest NDCG@10 by codes on validation; test figures are only reported.
"""

import argparse
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import command_line, machine
from genrec import run_pipeline
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json, atomic_write, read_json
from genrec.config import ExperimentConfig, load_config
from genrec.data.prepared import read_catalogue
from genrec.errors import GenRecError
from genrec.progress import for_terminal
from tokenizer import SemanticIDs
from tokenizer.plain_tables import plain_table

PARTS = ("validation", "test_codes", "test_codes_history_filtered")
METRICS = ("recall@10", "ndcg@10")
TRAINED = (*PARTS, "train_seconds")
_COLUMNS = {
    "validation NDCG@10": ("validation", "ndcg@10"),
    "test R@10": ("test_codes", "recall@10"),
    "test N@10": ("test_codes", "ndcg@10"),
    "filtered R@10": ("test_codes_history_filtered", "recall@10"),
    "filtered N@10": ("test_codes_history_filtered", "ndcg@10"),
}


class Cell(NamedTuple):
    """One run of the grid."""

    name: str
    """Of the kind and strategy, the same for all seeds."""
    seed: int
    overrides: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of its run folder and its place in the JSON."""
        return f"{self.name}-{self.seed}"


def main() -> None:
    """Run the cells, print a table, write the JSON."""
    options = _parser().parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    out = options.out or Path("runs") / f"{Path(options.config).stem}-tokenizer"
    check_config(load_config(options.config, options.overrides), seeds)
    cells = grid(options.kinds.split(","), options.collisions.split(","), options.variant, seeds)
    shared = [*options.overrides, "recommendation.rank=codes", "evaluation.baselines=[]"]
    shared += [] if options.epochs is None else [f"training.epochs={options.epochs}"]
    vectors = shared_vectors(options.config, out, [*options.overrides, f"seed={seeds[0]}"])
    report = {"config": options.config, "shared_overrides": shared}
    found = earlier_cells(options.json, report)
    about = {"command": command_line("benchmarks.tokenizer_quality"), **machine()}
    for cell in cells:
        overrides = [*shared, f"embeddings.file={vectors}", *cell.overrides, f"seed={cell.seed}"]
        found[cell.key] = measured(options.config, out / cell.key, cell, overrides, earlier=found)
        if options.json:
            summary = summarise(found.values())
            atomic_json(options.json, {**report, "about": about, "mean": summary, "cells": found})
    print_table(summarise(found.values()), markdown=options.markdown)
    failed = [f"{key}: {cell['failed']}" for key, cell in found.items() if "failed" in cell]
    if failed:
        raise SystemExit("cells that could not be run:\n" + "\n".join(failed))


def check_config(config: ExperimentConfig, seeds: Sequence[int]) -> None:
    """Raises ValueError for a config whose cells could not share one embedding, or would not differ."""
    if config.tokenizer.codes is not None:
        raise ValueError("the config reads ready-made codes, so no tokenizer is fitted; unset tokenizer.codes")
    if config.data.format == "world" and len(seeds) > 1:
        raise ValueError("the embedded world is another one for each seed; compare tokenizers on it with one seed")


def grid(kinds: Sequence[str], collisions: Sequence[str], variants: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """All pairs of kind and strategy, then the variants; seed by seed, so that a first look is early."""
    named = [
        (f"{kind}-{strategy}", (f"tokenizer.kind={kind}", f"tokenizer.collisions={strategy}"))
        for kind in kinds
        for strategy in collisions
    ]
    named += [parsed_variant(variant) for variant in variants]
    names = [name for name, _ in named]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"cells need names of their own, but several are called {', '.join(sorted(repeated))}")
    return [Cell(name, seed, overrides) for seed in seeds for name, overrides in named]


def parsed_variant(text: str) -> tuple[str, tuple[str, ...]]:
    """Name and overrides of `name:section.key=value,section.key=value`; values may hold commas."""
    name, colon, rest = text.partition(":")
    overrides = tuple(re.split(r",(?=[\w.]+=)", rest))
    if not re.fullmatch(r"[\w.-]+", name) or not colon or not all("=" in override for override in overrides):
        raise ValueError(f"expected a variant as name:section.key=value,section.key=value, but got {text!r}")
    return name, overrides


def shared_vectors(config: str, out: Path, overrides: Sequence[str]) -> Path:
    """The items' vectors as a run embeds them, in a file that other runs of the config can read."""
    run = run_pipeline(config, out=out / "embedded", overrides=overrides, until="embed", progress=for_terminal()).path
    path = (out / "vectors.npz").resolve()  # a relative one would start at the data folder
    vectors, item_ids = np.load(run / "embeddings.npy", allow_pickle=False), read_catalogue(run).item_ids
    atomic_write(path, lambda temporary: np.savez(temporary, item_ids=item_ids, vectors=vectors))
    return path


def earlier_cells(path: Path | None, report: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier grid of the same config and overrides left in the JSON; failed cells are forgotten.

    Raises:
        ValueError: the file holds another grid.
    """
    if path is None or not path.exists():
        return {}
    earlier = read_json(path)
    for name, value in report.items():
        if earlier.get(name) != value:
            raise ValueError(
                f"{path} holds another grid ({name} {earlier.get(name)}, here {value}); give another --json"
            )
    return {key: cell for key, cell in earlier["cells"].items() if "failed" not in cell}


def measured(
    config: str, folder: Path, cell: Cell, overrides: Sequence[str], *, earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """Figures of one cell; `failed` with the reason where it cannot be run, so that the others go on."""
    told = {"name": cell.name, "seed": cell.seed, "overrides": list(cell.overrides)}
    told["training"] = others_than_tokenizer(cell.overrides)
    try:
        run_pipeline(config, out=folder, overrides=overrides, until="tokenize", progress=for_terminal())
        coded = figures_of_codes(folder)
        trained_alike = {"ids": coded["ids"], "seed": cell.seed, "training": others_than_tokenizer(cell.overrides)}
        equal = (key for key, one in earlier.items() if trained_alike.items() <= one.items())
        same = next(equal, cell.key)
        if same != cell.key:
            return {**told, **coded, "same_ids_as": same, **{name: earlier[same][name] for name in TRAINED}}
        metrics = run_pipeline(config, out=folder, overrides=overrides, progress=for_terminal()).metrics
    except GenRecError as error:
        return {**told, "failed": str(error)}
    assert metrics is not None
    return {**told, **coded, **{part: metrics[part] for part in PARTS}, "train_seconds": metrics["seconds"]["train"]}


def others_than_tokenizer(overrides: Sequence[str]) -> list[str]:
    """The overrides that change more than the semantic IDs."""
    return sorted(override for override in overrides if not override.startswith("tokenizer."))


def figures_of_codes(folder: Path) -> dict[str, Any]:
    """What is known of a run once it is tokenized."""
    health = read_json(folder / "semantic_ids.json")
    ids = SemanticIDs.load(folder / "semantic_ids.npz")
    return {
        "ids": ids.fingerprint,
        "fit_seconds": RunFolder(folder).seconds()["tokenize"],
        "collision_rate": 1 - health["unique_share"],
        "items_that_share_an_id": ids.num_sharing,
        "id_length": ids.id_length,
        "level_sizes": list(ids.level_sizes),
        "relative_error": health.get("relative_error"),
        "usage": health["usage"],
    }


def summarise(cells: Any) -> list[dict[str, Any]]:
    """Means over the seeds of each name, the best validation NDCG@10 first; failed cells are left out."""
    rows = [_mean_of(name, runs) for name, runs in finished_by_name(cells).items()]
    return sorted(rows, key=lambda row: -row["validation"]["ndcg@10"])


def finished_by_name(cells: Any) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each name, one a seed; failed cells are left out."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if "failed" not in cell:
            by_name.setdefault(cell["name"], []).append(cell)
    return by_name


def _mean_of(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    plain = ("fit_seconds", "train_seconds", "collision_rate", "items_that_share_an_id", "id_length")
    return {
        "name": name,
        "seeds": [run["seed"] for run in runs],
        **{key: statistics.fmean(run[key] for run in runs) for key in plain},
        **{part: {metric: statistics.fmean(run[part][metric] for run in runs) for metric in METRICS} for part in PARTS},
    }


def print_table(rows: Sequence[Mapping[str, Any]], *, markdown: bool) -> None:
    """One line a cell, the best by validation first."""
    header = ("cell", "seeds", *_COLUMNS, "collisions", "shared IDs", "codes", "fit s")
    lines = [
        (
            row["name"],
            str(len(row["seeds"])),
            *(f"{row[part][metric]:.4f}" for part, metric in _COLUMNS.values()),
            f"{100 * row['collision_rate']:.1f} %",
            f"{row['items_that_share_an_id']:.0f}",
            f"{row['id_length']:.0f}",
            f"{row['fit_seconds']:.1f}",
        )
        for row in rows
    ]
    print(markdown_table(header, lines) if markdown else plain_table(header, lines))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as Markdown: the first column to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Recommendation quality by quantiser and uniqueness strategy.")
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", help="section.key=value, for all cells")
    parser.add_argument("--kinds", default="rqvae,residual_kmeans,fsq,opq")
    parser.add_argument("--collisions", default="extra_code,balanced,nearest_free,keep")
    parser.add_argument("--variant", action="append", default=[], help="name:section.key=value,...; one cell more")
    parser.add_argument("--epochs", type=int, help="of the generator's training; default: the config's")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, help="folder of the runs; default: runs/<config>-tokenizer")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


if __name__ == "__main__":
    main()
