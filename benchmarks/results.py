"""The tables of results, made from `benchmarks/results/*.json`.

    python -m benchmarks.results              # writes them
    python -m benchmarks.results --check      # fails if a document has another one

The short one of methods is in README.md, the whole one in docs/results.md, that of ablations in docs/ablations.md.

A JSON of `benchmarks.quality` has "kind": "quality" and
    command, commit, machine, threads, python, torch      what did the runs, so that they can be done again
    config, variant, protocol, seeds                      what they are; `variant` ("" for none) sets files apart
    remarks                                               text, may be missing
    runs                                                  seed -> what was found

and a run has the parts of its metrics.json: validation, test, test_history_filtered, test_codes,
test_codes_history_filtered, baselines, users, items, seconds and, in files made since they exist, parameters and
diagnostics; besides `blend` (the blend's weight and the validation's curve over all weights) and `lists` (how many
break a promise). A trained baseline is an entry of `baselines` with `parameters` and `seconds` of its own.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.ablation_table import ablation_section
from benchmarks.figures import commits_shown, shown

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
REQUIRED = (
    *("command", "commit", "machine", "threads", "python", "torch"),
    *("config", "variant", "protocol", "seeds", "runs"),
)
PROTOCOLS = ("test", "test_history_filtered")
FIGURES = ("recall@5", "ndcg@5", "recall@10", "ndcg@10", "candidates@50")
_SHORT_FIGURES = ("recall@10", "ndcg@10")
_ITEM_HEAD = "its item head over all items"
_SASRECS = ("sasrec", "sasrec_content", "sasrec_one_negative")
_SHORT_HEAD = (
    "| data, method | R@10 | N@10 | R@10, history filtered | N@10 | parameters | minutes |",
    "|---|---|---|---|---|---|---|",
)
_HEAD = (
    "| data, method | R@5 | N@5 | R@10 | N@10 | in 50 | | R@5 | N@5 | R@10 | N@10 | in 50 | parameters | minutes |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    "| | no filter | | | | | | history filtered | | | | | | |",
)

Figures = Mapping[str, float]


class Row(NamedTuple):
    """A method in the table."""

    method: str
    seeds: Sequence[Mapping[str, Figures]]
    """Protocol -> figures, of each seed."""
    parameters: int | None = None
    """None for a method that has none, or of which they were not written down."""
    training_seconds: float | None = None
    """Of the quickest seed: others may have shared the machine."""


def main() -> None:
    """Write the tables into their documents, or check that they are there."""
    parser = argparse.ArgumentParser(description="The tables of results.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is stale")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="has the short table")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "results.md", help="has the whole one")
    parser.add_argument(
        "--ablations", type=Path, default=ROOT / "docs" / "ablations.md", help="has what choices are worth"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    found = read_results(options.results)
    parts = {
        options.readme: short_section(found),
        options.document: section(found),
        options.ablations: ablation_section(of_kind("ablations", options.results)),
    }
    for path, part in parts.items():
        text = path.read_text(encoding="utf-8")
        wanted = replaced(text, part, name=path.name)
        if text == wanted:
            continue
        if options.check:
            sys.exit(f"{path} does not show what is in {options.results}; run: python -m benchmarks.results")
        path.write_text(wanted, encoding="utf-8")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> results of every quality JSON; those with a variant come after those without.

    Raises:
        ValueError: a file lacks what it must hold.
    """
    quality = of_kind("quality", folder)
    for name, result in quality.items():
        missing = [key for key in REQUIRED if key not in result]
        if missing or not result["runs"]:
            raise ValueError(f"{name} lacks {', '.join(missing) or 'runs'}; make it with python -m benchmarks.quality")
    return dict(sorted(quality.items(), key=lambda named: (data_name(named[1]), named[1]["variant"], named[0])))


def of_kind(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> content of every JSON that says it is of this kind."""
    found = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return {name: result for name, result in found.items() if result.get("kind") == kind}


def replaced(text: str, part: str, *, name: str) -> str:
    """A document with this part between its two marks; ValueError if it does not have each of them once."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"expected {BEGIN.strip()} and {END} in {name}, each once")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + part + END + rest.partition(END)[2]


def section(results: Mapping[str, dict[str, Any]]) -> str:
    """The table and, below it, how each file was made."""
    lines: list[str] = [*_HEAD]
    for result in results.values():
        for place, row in enumerate(rows_of(result)):
            name = f"{data_name(result)} {row.method}"
            line = table_line(row, f"**{data_name(result)}** {row.method}" if place == 0 else name)
            if line not in lines:  # a baseline is the same whatever variant of the generator it stands beside
                lines.append(line)
    return "\n".join(["", *lines, "", *(made_by(name, result) for name, result in results.items()), "", ""])


def short_section(results: Mapping[str, dict[str, Any]]) -> str:
    """The table of what is asked for first: by data set, the generator, the best SASRec, TIGER, and counting."""
    by_data: dict[str, list[dict[str, Any]]] = {}
    for result in results.values():
        by_data.setdefault(data_name(result), []).append(result)
    lines: list[str] = [*_SHORT_HEAD]
    for data, of_data in by_data.items():
        for place, row in enumerate(short_rows(of_data)):
            lines.append(short_line(row, f"**{data}** {row.method}" if place == 0 else f"{data} {row.method}"))
    return "\n".join(["", *lines, "", ""])


def short_rows(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of one data set's files: the first one's generator and item head, the best SASRec, TIGER of any, transitions.

    The best SASRec is that of the highest mean test NDCG@10 with the history filtered out, which favours it.
    """
    first = rows_of(results[0])
    everything = [row for result in results for row in rows_of(result)]
    sasrecs = sorted((row for row in everything if row.method in _SASRECS), key=_filtered_ndcg)
    tigers = [row for row in everything if row.method == "tiger"]
    generators = [row for row in first if row.method.startswith(("generator", _ITEM_HEAD))]
    return [*generators, *sasrecs[-1:], *tigers[:1], *(row for row in first if row.method.startswith("transitions"))]


def _filtered_ndcg(row: Row) -> float:
    return statistics.fmean(seed["test_history_filtered"]["ndcg@10"] for seed in row.seeds)


def short_line(row: Row, name: str) -> str:
    """The row in Markdown, with the figures at ten."""
    figures = [shown([seed[part].get(at) for seed in row.seeds]) for part in PROTOCOLS for at in _SHORT_FIGURES]
    return _line([name, *figures, *_cost(row)])


def rows_of(result: Mapping[str, Any]) -> list[Row]:
    """The generator's readings, then trained baselines, then those that count, in this order."""
    runs = list(result["runs"].values())
    variant = f" ({result['variant']})" if result["variant"] else ""
    cost = {
        "parameters": runs[0].get("parameters"),
        "training_seconds": min(run["seconds"]["train"] for run in runs),
    }
    by_codes = [{protocol: run[protocol.replace("test", "test_codes")] for protocol in PROTOCOLS} for run in runs]
    rows = [Row(f"generator, codes{variant}", by_codes, **cost)]
    if any(run["test"] != run["test_codes"] for run in runs):
        rows.insert(0, Row(f"generator, blend{variant}", runs, **cost))
    if all("item_head" in run for run in runs):
        rows.append(Row(f"{_ITEM_HEAD}{variant}", [run["item_head"] for run in runs], **cost))
    baselines = runs[0]["baselines"]
    trained = [name for name, figures in baselines.items() if "parameters" in figures]
    counting = [name for name in baselines if name not in trained]
    for name in trained:
        seeds = [run["baselines"][name] for run in runs]
        seconds = min(seed["seconds"] for seed in seeds)
        rows.append(Row(name, seeds, seeds[0]["parameters"], seconds))
    return [*rows, *(Row(f"{name} (counting)", [baselines[name]]) for name in counting)]


def table_line(row: Row, name: str) -> str:
    """The row in Markdown."""
    without, filtered = (
        [shown([seed[protocol].get(figure) for seed in row.seeds]) for figure in FIGURES] for protocol in PROTOCOLS
    )
    return _line([name, *without, "", *filtered, *_cost(row)])


def _cost(row: Row) -> tuple[str, str]:
    """Parameters and minutes; nothing where they are not known."""
    parameters = "" if row.parameters is None else f"{row.parameters / 1e6:.2f} M"
    return parameters, "" if row.training_seconds is None else f"{row.training_seconds / 60:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def made_by(name: str, result: Mapping[str, Any]) -> str:
    """How a file was made, as an item of a list."""
    run = next(iter(result["runs"].values()))
    what = f"{run['users']:,} users, {run['items']:,} items, {result['protocol'].replace('_', '-')}"
    seeds = ("seed " if len(result["seeds"]) == 1 else "seeds ") + ", ".join(map(str, result["seeds"]))
    where = f"{result['machine']}, torch {result['torch']}"
    commits = commits_shown(run.get("commit", result["commit"]) for run in result["runs"].values())
    remarks = f". {result['remarks']}" if result.get("remarks") else "."
    return (
        f"- {data_name(result)}: {what}, {seeds}; `{result['command']}` at {commits}, {where} "
        f"(`benchmarks/results/{name}`){remarks}"
    )


def data_name(result: Mapping[str, Any]) -> str:
    """Of configs/office.yaml: Office."""
    return Path(result["config"]).stem.capitalize()


if __name__ == "__main__":
    main()
