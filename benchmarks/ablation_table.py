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
    gains = {change: _gain(cells, by_change["default"]) for change, cells in by_change.items()}
    ordered = sorted(gains, key=lambda change: (change != "default", -gains[change]))
    data = Path(result["config"]).stem.capitalize()
    commits = commits_shown(cell["commit"] for cells in by_change.values() for cell in cells)
    return [
        *_HEAD,
        *(_line(change, by_change[change], gains[change]) for change in ordered),
        "",
        f"{data}; `python -m benchmarks.ablations {result['config']}` at {commits}, {about['machine']}, "
        f"torch {about['torch']} (`benchmarks/results/{name}`).",
        "",
    ]


def _gain(cells: Sequence[Mapping[str, Any]], defaults: Sequence[Mapping[str, Any]]) -> float:
    """In NDCG@10 on validation over the default of the same seeds, or of those that there are."""
    seeds = {cell["seed"] for cell in cells}
    same = [cell for cell in defaults if cell["seed"] in seeds] or defaults
    return _mean(cells, "validation", "ndcg@10") - _mean(same, "validation", "ndcg@10")


def _line(change: str, cells: Sequence[Mapping[str, Any]], gain: float) -> str:
    validation = [cell["validation"]["ndcg@10"] for cell in cells]
    overrides = " ".join(f"`{override}`" for override in cells[0]["overrides"])
    difference = "" if change == "default" else _signed(gain)
    others = [shown([_mean(cells, part, figure)]) for part, figure in _FIGURES]
    parameters = f"{cells[0]['parameters'] / 1e6:.2f} M"
    seeds = ", ".join(str(cell["seed"]) for cell in cells)
    return f"| {' | '.join([change, overrides, seeds, shown(validation), difference, *others, parameters])} |"


def _mean(cells: Sequence[Mapping[str, Any]], part: str, figure: str) -> float:
    return statistics.fmean(cell[part][figure] for cell in cells)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("0.", ".", 1)
