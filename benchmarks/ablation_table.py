"""What each choice is worth, as the tables of docs/ablations.md, from the JSONs of `benchmarks.ablations`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HEAD = (
    "| choice | config | N@10, validation | change | in 50 | N@10, test | filtered | codes alone | parameters |",
    "|---|---|---|---|---|---|---|---|---|",
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
    about, seeds = result["about"], sorted({cell["seed"] for cell in result["cells"].values()})
    by_change: dict[str, list[Mapping[str, Any]]] = {}
    for cell in result["cells"].values():
        if "failed" not in cell:
            by_change.setdefault(cell["name"], []).append(cell)
    if "default" not in by_change:
        raise ValueError(f'{name} has no default; add it with python -m benchmarks.ablations --only "default"')
    default = _mean(by_change["default"], "validation", "ndcg@10")
    ordered = sorted(by_change, key=lambda each: (each != "default", -_mean(by_change[each], "validation", "ndcg@10")))
    data = Path(result["config"]).stem.capitalize()
    return [
        *_HEAD,
        *(_line(change, by_change[change], default) for change in ordered),
        "",
        f"{data}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}; "
        f"`python -m benchmarks.ablations {result['config']}` at {about['commit'][:9]}, {about['machine']}, "
        f"torch {about['torch']} (`benchmarks/results/{name}`).",
        "",
    ]


def _line(change: str, cells: Sequence[Mapping[str, Any]], default: float) -> str:
    validation = _mean(cells, "validation", "ndcg@10")
    overrides = " ".join(f"`{override}`" for override in cells[0]["overrides"])
    difference = "" if change == "default" else _signed(validation - default)
    shown = [_plain(_mean(cells, part, figure)) for part, figure in _FIGURES]
    parameters = f"{cells[0]['parameters'] / 1e6:.2f} M"
    return f"| {' | '.join([change, overrides, _plain(validation), difference, *shown, parameters])} |"


def _mean(cells: Sequence[Mapping[str, Any]], part: str, figure: str) -> float:
    return sum(cell[part][figure] for cell in cells) / len(cells)


def _plain(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("0.", ".", 1)
