"""Two models user by user: differences of their figures, with 95 % intervals of a bootstrap that is paired per user.

    python -m benchmarks.compare RUN_A RUN_B                       # two runs on the same data
    python -m benchmarks.compare A-0 B-0 A-1 B-1 A-2 B-2           # pairs by seed, which are drawn as users are
    python -m benchmarks.compare RUN RUN --method transitions --second-method generator
    python -m benchmarks.compare RUN/baselines/sasrec RUN --method sasrec --second-method generator

Differences are second minus first. Runs need the `case_ranks.npz` that `genrec evaluate` leaves.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from benchmarks.machine import command_line, machine
from genrec.errors import InputError
from genrec.evaluation.case_figures import PROTOCOLS, CaseFigures
from genrec.evaluation.metrics import expected_ndcgs, expected_recalls
from genrec.evaluation.paired import Difference, paired_differences

PerUser = dict[str, Float64[ndarray, " users"]]


def main() -> None:
    """Read the runs, print the differences, write the JSON."""
    parser = argparse.ArgumentParser(description="Differences between two models, paired per user.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_A RUN_B", help="pairs of run folders")
    parser.add_argument("--method", default="generator", help="or generator_codes, or a baseline's name")
    parser.add_argument("--second-method", help="of the second runs, if another")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if len(options.runs) % 2:
        parser.error(f"expected pairs of runs, got {len(options.runs)} folders")
    methods = options.method, options.second_method or options.method
    found = compare(options.runs[::2], options.runs[1::2], methods, resamples=options.resamples, seed=options.seed)
    print(as_table(found))
    if options.json:
        about = {"command": command_line("benchmarks.compare"), **machine(), "methods": methods}
        differences = {name: difference._asdict() for name, difference in found.items()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**about, "differences": differences}, indent=2) + "\n")


def compare(
    first: Sequence[Path], second: Sequence[Path], methods: tuple[str, str], *, resamples: int, seed: int
) -> dict[str, Difference]:
    """Figure -> difference of the means; the runs of a side are one a seed.

    Raises:
        InputError: the runs were not evaluated on the same users and targets, or one lacks the method.
    """
    sides = [[CaseFigures.read(run) for run in runs] for runs in (first, second)]
    for run, figures in zip((*first, *second), (*sides[0], *sides[1]), strict=True):
        _check_same_cases(first[0], sides[0][0], run, figures)
    per_user = [
        _by_seed([figures_of(figures, method) for figures in side]) for side, method in zip(sides, methods, strict=True)
    ]
    common = [name for name in per_user[0] if name in per_user[1]]
    pair = [{name: side[name] for name in common} for side in per_user]
    return paired_differences(pair[0], pair[1], num_resamples=resamples, seed=seed)


def figures_of(run: CaseFigures, method: str) -> PerUser:
    """Each user's recall@10 and NDCG@10 under both protocols and, of a generator, whether each level kept the target.

    `InputError` if the run does not have the method.
    """
    figures = {}
    for protocol in PROTOCOLS:
        if method not in run.places[protocol]:
            raise InputError(f"the run has no method {method!r}; known here: {', '.join(run.places[protocol])}")
        places = run.places[protocol][method]
        figures[f"{protocol} recall@10"] = expected_recalls(places, 10)
        figures[f"{protocol} ndcg@10"] = expected_ndcgs(places, 10)
    if method.startswith("generator"):
        levels = run.nll.shape[1]
        for size, survived in run.survived.items():
            for level in range(1, levels + 1):
                figures[f"beam of {size}, after code {level} of {levels}"] = (survived >= level).astype(np.float64)
    return figures


def as_table(differences: dict[str, Difference]) -> str:
    """One line a figure; a star marks an interval without zero."""
    lines = [f"{'':<34}{'first':>9}{'second':>9}{'change':>10}   95 % interval        by seed"]
    for name, (first, second, difference, low, high, by_seed) in differences.items():
        star = " *" if low > 0 or high < 0 else "  "
        seeds = " ".join(f"{change:+.4f}" for change in by_seed) if len(by_seed) > 1 else ""
        line = f"{name:<34}{first:>9.4f}{second:>9.4f}{difference:>+10.4f}   {low:+.4f} .. {high:+.4f}{star} {seeds}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _by_seed(seeds: Sequence[PerUser]) -> dict[str, Float64[ndarray, "seeds users"]]:
    """The figures that all the seeds have."""
    common = [name for name in seeds[0] if all(name in seed for seed in seeds)]
    return {name: np.stack([seed[name] for seed in seeds]) for name in common}


def _check_same_cases(first: Path, of_first: CaseFigures, run: Path, figures: CaseFigures) -> None:
    for name in ("user_ids", "target_ids"):
        if not np.array_equal(getattr(of_first, name), getattr(figures, name)):
            raise InputError(f"{first} and {run} have other {name}; compare runs on the same data and split")


if __name__ == "__main__":
    main()
