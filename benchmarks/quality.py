"""Recommendation quality of a config over several seeds, and a check of every list.

    GENREC_DATA=... python -m benchmarks.quality configs/office.yaml --seeds 0,1,2 --json benchmarks/results/office.json
    GENREC_DATA=... python -m benchmarks.quality configs/office.yaml --baselines sasrec,tiger --json FILE

Runs are kept in OUT/<config>-<seed>; what is done there and unchanged is not repeated. `benchmarks.results` makes the
README's table from the JSON and says what it must hold.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import unless_the_same
from benchmarks.machine import command_line, machine, use_threads
from genrec import Recommender, load_config, run_pipeline
from genrec.artifacts import BASELINE_OUTPUTS
from genrec.atomic_files import read_json
from genrec.data.prepared import read_prepared
from genrec.data.splits import test_cases
from genrec.progress import for_terminal
from genrec.recommendation.loading import RANKING_FILE
from genrec.report.training_curves import curves_of, read_log

PROTOCOLS = ("validation", "test", "test_history_filtered", "test_codes", "test_codes_history_filtered")
FIGURES = ("recall@5", "ndcg@5", "recall@10", "ndcg@10", "candidates@50")


def main() -> None:
    """Run the seeds, print mean and spread, write the JSON."""
    options = arguments().parse_args()
    use_threads(options.threads)
    names = [name for name in options.baselines.split(",") if name]
    earlier = read_json(options.json).get("runs", {}) if options.json and options.json.exists() else {}
    runs = {
        int(seed): unless_the_same(earlier.get(seed), run_seed(options, int(seed), names))
        for seed in options.seeds.split(",")
    }
    summary = summarise(list(runs.values()))
    print_table(summary, next(iter(runs.values()))["baselines"])
    if options.json:
        report = about(options, list(runs)) | {"mean_and_spread": summary, "runs": runs}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def run_seed(options: argparse.Namespace, seed: int, baselines: Sequence[str]) -> dict[str, Any]:
    """The figures of one run: its metrics.json, the blend's curve, checked lists, all of its trained baselines."""
    folder = options.out / f"{Path(options.config).stem}-{seed}"
    overrides = [*options.overrides, f"seed={seed}"]
    bring = partial(run_pipeline, options.config, out=folder, overrides=overrides, progress=for_terminal())
    trained = {name: bring(until=name).metrics for name in baselines}
    metrics = bring().metrics
    assert metrics is not None
    counted = {name: figures for name, figures in metrics["baselines"].items() if name not in BASELINE_OUTPUTS}
    metrics["baselines"] = counted  # others that were trained beside the run before are not of this command
    for name, figures in trained.items():
        assert figures is not None
        metrics["baselines"][name] = {**figures, "curve": curve(folder / "baselines" / name)}
    blend = read_json(folder / "generator" / RANKING_FILE)
    return {"commit": machine()["commit"], **metrics, "blend": blend, "lists": check_lists(folder)}


def curve(folder: Path) -> list[dict[str, float]]:
    """How a trained baseline came along: its validations, and the processor time that they were reached in."""
    validated = curves_of(read_log(folder / "log.jsonl")).validated
    return [{name: line[name] for name in ("epoch", "step", "cpu_seconds", "ndcg@10")} for line in validated]


def about(options: argparse.Namespace, seeds: list[int]) -> dict[str, Any]:
    """What the runs are, and all that is needed to do them again."""
    command = command_line("benchmarks.quality")
    if "--threads" not in command:
        command += f" --threads {options.threads}"
    config = load_config(options.config, options.overrides)
    return {
        "kind": "quality",
        "command": command,
        **machine(),
        "config": options.config,
        "overrides": options.overrides,
        "variant": options.variant,
        "protocol": config.data.split,
        "seeds": seeds,
    }


def arguments() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(description="Recommendation quality of a config over several seeds.")
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", help="section.key=value")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--baselines", default="", help="names for `genrec baseline`, trained once a seed")
    parser.add_argument("--variant", default="", help="what sets these runs apart, as the README's table shows it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="figures are exact for a number")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--json", type=Path)
    return parser


def check_lists(folder: Path) -> dict[str, int]:
    """Over the lists of all test users, with the history filter on: how many break a promise."""
    recommender, prepared = Recommender.from_pretrained(folder), read_prepared(folder)
    interactions, cases = prepared.interactions, test_cases(prepared.interactions, prepared.splits)
    histories = [
        prepared.catalogue.item_ids[interactions.items[interactions.offsets[user] : end]].tolist()
        for user, end in zip(cases.users, cases.ends, strict=True)
    ]
    counts = {"lists": 0, "unknown_items": 0, "repeated_items": 0, "items_of_the_history": 0, "short_lists": 0}
    for history, found in zip(histories, recommender.recommend(histories, k=10, exclude_history=True), strict=True):
        ids = [entry.item_id for entry in found]
        counts["lists"] += 1
        counts["unknown_items"] += sum(item not in prepared.catalogue.row_of for item in ids)
        counts["repeated_items"] += len(ids) - len(set(ids))
        counts["items_of_the_history"] += len(set(ids) & set(history))
        counts["short_lists"] += len(ids) < 10
    return counts


def summarise(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over the seeds."""
    return {
        protocol: {
            figure: {
                "mean": statistics.fmean(run[protocol][figure] for run in runs),
                "spread": statistics.stdev(run[protocol][figure] for run in runs) if len(runs) > 1 else 0.0,
            }
            for figure in FIGURES
        }
        for protocol in PROTOCOLS
    }


def print_table(summary: dict[str, dict[str, dict[str, float]]], baselines: dict[str, Any]) -> None:
    """One line a protocol, then the baselines."""
    print(f"{'':<32}" + "".join(f"{figure:>16}" for figure in FIGURES))
    for protocol, figures in summary.items():
        cells = (f"{figures[name]['mean']:.4f} ± {figures[name]['spread']:.4f}" for name in FIGURES)
        print(f"{protocol:<32}" + "".join(f"{cell:>16}" for cell in cells))
    for name, parts in baselines.items():
        for protocol in (part for part in PROTOCOLS if part in parts):
            cells = (f"{parts[protocol][figure]:.4f}" if figure in parts[protocol] else "" for figure in FIGURES)
            print(f"{name + ' ' + protocol:<32}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
