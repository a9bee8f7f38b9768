"""The head of a report: which run, on what data, and its main figures at a glance."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genrec.report.markup import Markup, element, joined, paragraph, warning
from genrec.report.methods import methods_of, strongest_baselines
from genrec.report.numbers import count, figure, percent, points
from genrec.report.record import RunRecord


def head(record: RunRecord, written_at: str) -> Markup:
    """Name, tiles with the main figures, the data in a sentence, and what is wrong."""
    name = record.folder.path.resolve().name
    return element(
        "header",
        element("h1", f"GenRec report: {name}"),
        paragraph(f"Written {written_at}.", " ", _on_data(record)),
        element("div", [_tile(*tile) for tile in _tiles(record)], class_="tiles"),
        *(warning(f"Alarm: {alarm}") for alarm in record.diagnostics["alarms"]),
    )


def _on_data(record: RunRecord) -> str:
    interactions, metrics = record.interactions, record.metrics
    users, items = interactions.num_users, interactions.num_items
    cold = int((record.training_counts == 0).sum())
    return (
        f"{count(users)} users, {count(items)} items, {count(interactions.num_interactions)} interactions "
        f"({100 * interactions.num_interactions / (users * items):.2g} % of all pairs); {count(metrics['users'])} test "
        f"users with a median of {np.median(record.history_lengths):g} items before the one that is asked for; "
        f"{count(cold)} items are cold: training never saw them. The generator has {count(metrics['parameters'])} "
        "parameters."
    )


def _tiles(record: RunRecord) -> list[tuple[str, str]]:
    methods, protocol = methods_of(record), record.served_protocol
    own: Mapping[str, Any] = methods[0].figures[protocol]
    tiles = [
        (percent(own["recall@10"]), "of test users find their next item in ten (recall@10)"),
        (figure(own["ndcg@10"]), "NDCG@10"),
    ]
    best = next(iter(strongest_baselines(methods, protocol)), None)
    if best is not None:
        ahead = own["recall@10"] - best.figures[protocol]["recall@10"]
        tiles.append((points(ahead), f"points of recall@10 beside {best.title}, the best baseline"))
    oracle = next((method for method in methods if method.kind == "oracle"), None)
    if oracle is not None:
        tiles.append((percent(own["recall@10"] / oracle.figures[protocol]["recall@10"]), "of the oracle's recall@10"))
    shown = record.diagnostics["coverage"][protocol]["generator"]
    tiles.append((percent(shown["share_of_items"]), "of the catalogue is in somebody's list"))
    return tiles


def _tile(value: str, text: str) -> Markup:
    return element("div", joined(element("b", value), element("span", text)), class_="tile")
