"""What the command line prints of a run: the results as a table, recommendations with titles."""

from pathlib import Path
from typing import Any

from genrec.data.prepared import read_prepared
from genrec.data.splits import test_cases
from genrec.recommendation.recommender import Recommender

Figures = dict[str, float]
_SHOWN_USERS = 3
_SHOWN_ITEMS = 5
_NLL_ROWS = (
    ("generator", "NLL, generator"),
    ("by_prefix", "NLL, counts without a history"),
    ("by_prefix_and_last_item", "NLL, counts after the last item"),
)
_FIGURES = ("recall@5", "ndcg@5", "recall@10", "ndcg@10", "recall@20", "ndcg@20")


def results_table(metrics: dict[str, Any]) -> str:
    """Generator, baselines and (in the embedded world) oracle, by both protocols, on the test cases."""
    rows: list[tuple[str, Figures, Figures]] = [("generator", metrics["test"], metrics["test_history_filtered"])]
    if metrics["test_codes"] != metrics["test"]:
        rows.append(("generator, codes alone", metrics["test_codes"], metrics["test_codes_history_filtered"]))
    rows.append(_of_scorer("its item head, all items", metrics["item_head"]))
    rows += [_of_scorer(name, figures) for name, figures in metrics["baselines"].items()]
    if "oracle" in metrics:
        rows.append(_of_scorer("oracle", metrics["oracle"]))
    lines = [f"Test: {metrics['users']} users, {metrics['items']} items, full ranking of exact items"]
    for title, filtered in (("without history filter", False), ("history filtered out", True)):
        lines += ["", _header(title)]
        lines += [_line(method, without_history if filtered else plain) for method, plain, without_history in rows]
    seconds = metrics["seconds"]
    lines += ["", "Seconds: " + ", ".join(f"{stage} {spent:.1f}" for stage, spent in seconds.items())]
    return "\n".join(lines)


def _of_scorer(title: str, figures: dict[str, Figures]) -> tuple[str, Figures, Figures]:
    return title, figures["test"], figures["test_history_filtered"]


def baseline_table(name: str, metrics: dict[str, Any]) -> str:
    """A trained baseline by both protocols, and what it cost."""
    parts = ("validation", "test", "validation_history_filtered", "test_history_filtered")
    lines = [_header(name), *(_line(part.replace("_", " "), metrics[part]) for part in parts), ""]
    ended = f"ended by {metrics['ended_by']}, {'converged' if metrics['converged'] else 'not converged'}"
    lines.append(
        f"{metrics['parameters']} parameters, {metrics['seconds']:.1f} s ({metrics['cpu_seconds']:.1f} s of processor "
        f"time), {metrics['epochs']} epochs, best at step {metrics['best_step']} of {metrics['steps']}; {ended}"
    )
    return "\n".join(lines)


def _header(title: str) -> str:
    return f"{title:<28}" + "".join(f"{name:>11}" for name in _FIGURES)


def _line(title: str, figures: Figures) -> str:
    return f"{title:<28}" + "".join(f"{figures[name]:>11.4f}" for name in _FIGURES)


def diagnostics_table(metrics: dict[str, Any]) -> str:
    """What happens to the targets code by code, and how much of the catalogue the lists show."""
    found = metrics["diagnostics"]
    levels = range(1, len(found["nll"]["generator"]) + 1)
    lines = [f"{'code by code':<34}" + "".join(f"{level:>9}" for level in levels)]
    for size, shares in found["survival"].items():
        lines.append(_row(f"targets in a beam of {size}", shares))
    for name, title in _NLL_ROWS:
        lines.append(_row(title, found["nll"][name]))
    shown = found["coverage"]["test_history_filtered"]["generator"]
    lines += [
        "",
        f"All lists of ten, history filtered out: {shown['distinct_items']} of {metrics['items']} items, "
        f"Gini {shown['gini']:.2f}",
    ]
    return "\n".join([*lines, *(f"WARNING: {alarm}" for alarm in found["alarms"])])


def _row(title: str, values: list[float]) -> str:
    return f"{title:<34}" + "".join(f"{value:>9.3f}" for value in values)


def recommendations_shown(run: Path) -> str:
    """What a few test users get, with titles."""
    recommender = Recommender.from_pretrained(run)
    prepared = read_prepared(run)
    interactions, cases = prepared.interactions, test_cases(prepared.interactions, prepared.splits)
    lines = []
    for user, end in list(zip(cases.users.tolist(), cases.ends.tolist(), strict=True))[:_SHOWN_USERS]:
        history = interactions.items[interactions.offsets[user] : end]
        asked = [str(prepared.catalogue.item_ids[row]) for row in history]
        lines.append(f"User {interactions.user_ids[user]}")
        lines += [f"    had  {prepared.catalogue.title(int(row))}" for row in history[-3:]]
        for place, entry in enumerate(recommender.recommend([asked], k=_SHOWN_ITEMS)[0], start=1):
            row = recommender.catalogue.row_of[entry.item_id]
            taken = "  <- taken next" if row == interactions.items[end] else ""
            lines.append(f"    {place}.   {recommender.catalogue.title(row)}{taken}")
        lines.append("")
    return "\n".join(lines)


def demo_summary(metrics: dict[str, Any]) -> dict[str, Any]:
    """Recall@10 of everybody without the history filter, and the seconds in all."""
    recall = {"generator": metrics["test"]["recall@10"]}
    recall |= {name: figures["test"]["recall@10"] for name, figures in metrics["baselines"].items()}
    recall["oracle"] = metrics["oracle"]["test"]["recall@10"]
    return {"recall@10": recall, "seconds": sum(metrics["seconds"].values())}
