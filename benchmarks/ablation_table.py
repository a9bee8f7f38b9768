"""What each choice is worth, as the tables of docs/ablations.md, from the JSONs of `benchmarks.ablations`."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import commits_shown, shown

_HEAD = (
    "| choice | config | seeds | N@10, validation | change | in 50 | N@10, test | filtered | codes alone | size |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
_FIGURES = (
    ("validation", "candidates@50"),
    ("test", "ndcg@10"),
    ("test_history_filtered", "ndcg@10"),
    ("test_codes_history_filtered", "ndcg@10"),
)


def ablation_section(results: Mapping[str, Mapping[str, Any]]) -> str:
    """For each file, by name, a table with the default first and then the best by validation, and how it was made.

    Raises:
        ValueError: a file has no default to compare with.
    """
    return "\n".join(["", *(line for name, result in results.items() for line in _table(name, result)), ""])


def _table(name: str, result: Mapping[str, Any]) -> list[str]:
    about = result["about"]
    by_change: dict[str, list[Mapping[str, Any]]] = {}
    for cell in result["cells"].values():
        if "failed" not in cell:
            by_change.setdefault(cell["name"], []).append(cell)
    if "default" not in by_change:
        raise ValueError(f'{name} has no default; add it with python -m benchmarks.ablations --only "default"')
    default = _mean(by_change["default"], "validation", "ndcg@10")
    ordered = sorted(by_change, key=lambda each: (each != "default", -_mean(by_change[each], "validation", "ndcg@10")))
    data = Path(result["config"]).stem.capitalize()
    commits = commits_shown(cell["commit"] for cells in by_change.values() for cell in cells)
    return [
        *_HEAD,
        *(_line(change, by_change[change], default) for change in ordered),
        "",
        f"{data}; `python -m benchmarks.ablations {result['config']}` at {commits}, {about['machine']}, "
        f"torch {about['torch']} (`benchmarks/results/{name}`).",
        "",
    ]


def _line(change: str, cells: Sequence[Mapping[str, Any]], default: float) -> str:
    validation = [cell["validation"]["ndcg@10"] for cell in cells]
    overrides = " ".join(f"`{override}`" for override in cells[0]["overrides"])
    difference = "" if change == "default" else _signed(statistics.fmean(validation) - default)
    others = [shown([_mean(cells, part, figure)]) for part, figure in _FIGURES]
    parameters = f"{cells[0]['parameters'] / 1e6:.2f} M"
    seeds = ", ".join(str(cell["seed"]) for cell in cells)
    return f"| {' | '.join([change, overrides, seeds, shown(validation), difference, *others, parameters])} |"


def _mean(cells: Sequence[Mapping[str, Any]], part: str, figure: str) -> float:
    return statistics.fmean(cell[part][figure] for cell in cells)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("0.", ".", 1)
