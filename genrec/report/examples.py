"""A few test users with their lists: some who were served, some who were not."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from genrec.evaluation.metrics import Places
from genrec.recommendation.recommender import Recommender
from genrec.report.markup import Markup, element, joined, paragraph
from genrec.report.numbers import count, percent
from genrec.report.record import RunRecord
from genrec.report.sections import Section

_USERS_OF_A_KIND = 3
_SHOWN_HISTORY = 5
_SHOWN_ITEMS = 5
_LIST_LENGTH = 10


def examples_section(record: RunRecord, recommender: Recommender) -> Section:
    """Lists as the run serves them, for users drawn by lot among the served and the others."""
    recall = record.metrics[record.served_protocol]["recall@10"]
    cases = example_cases(record)
    parts = [
        paragraph(
            f"Drawn by lot: up to three of the {percent(recall)} of test users whose next item is in their list of "
            "ten, then up to three of the others. Lists are made anew, as the run serves them."
        ),
        *(_example(record, recommender, case) for case in cases.tolist()),
    ]
    return Section("examples", "What do lists look like?", tuple(parts))


def example_cases(record: RunRecord) -> Int64[ndarray, " chosen"]:
    """Numbers of the cases, the served ones first; without ranks, of any cases."""
    places: Places | None = record.places[record.served_protocol].get("generator")
    draw = np.random.default_rng(0)
    if places is None:
        kinds = [np.arange(len(record.cases.ends))]
    else:
        found = places.worst < _LIST_LENGTH
        kinds = [np.flatnonzero(found), np.flatnonzero(~found)]
    return np.concatenate([np.sort(draw.permutation(kind)[:_USERS_OF_A_KIND]) for kind in kinds])


def history_of(record: RunRecord, case: int) -> list[int]:
    """Rows before the target of a case, oldest first."""
    begin = record.interactions.offsets[record.cases.users[case]]
    return record.interactions.items[begin : record.cases.ends[case]].tolist()


def histories_of(record: RunRecord, cases: Sequence[int]) -> list[list[str]]:
    """The same of many cases, in ids."""
    item_ids = record.prepared.catalogue.item_ids
    return [[str(item_ids[row]) for row in history_of(record, case)] for case in cases]


def _example(record: RunRecord, recommender: Recommender, case: int) -> Markup:
    catalogue, target = record.prepared.catalogue, int(record.targets[case])
    rows = history_of(record, case)
    found = recommender.recommend(histories_of(record, [case]), k=_LIST_LENGTH)[0]
    listed = [catalogue.row_of[entry.item_id] for entry in found]
    place = listed.index(target) + 1 if target in listed else None
    shown = max(_SHOWN_ITEMS, place or 0)
    items = [
        element("li", catalogue.title(row), *([element("strong", " ← taken next")] if row == target else []))
        for row in listed[:shown]
    ]
    earlier = len(rows) - _SHOWN_HISTORY
    had = [element("li", catalogue.title(row)) for row in rows[-_SHOWN_HISTORY:]]
    before = paragraph(f"{count(earlier)} items earlier, then:") if earlier > 0 else joined()
    outcome = f"Place {place} of {len(listed)}." if place else "Not in the list. Taken next: "
    taken = joined(outcome) if place else joined(outcome, element("strong", catalogue.title(target)))
    return element(
        "article",
        element("h3", f"User {record.interactions.user_ids[record.cases.users[case]]}"),
        element("div", element("h4", "Had"), before, element("ul", had)),
        element("div", element("h4", f"Got (the first {shown})"), element("ol", items), paragraph(taken)),
        class_="example",
    )
