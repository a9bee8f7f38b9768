"""How good the semantic IDs are: use of the codes, collisions, what the largest prefixes are about, the trie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from genrec.atomic_files import read_json
from genrec.report.markup import Markup, code, paragraph, side_by_side, table, warning
from genrec.report.numbers import NOTHING, count, percent
from genrec.report.record import RunRecord
from genrec.report.sections import Picture, Section, gallery
from genrec.stored_ids import load_prefix_trie, load_semantic_ids
from genrec.tokenization.report import CODEBOOK_FIGURE, MAP_FIGURE
from trie.report import TrieReport

_SHOWN_PREFIXES = 12
_PICTURES = {
    CODEBOOK_FIGURE: "Use of the codes, items under a prefix, and items that are not alone",
    MAP_FIGURE: "The items on their two strongest axes, coloured by their first code",
}


def codebook_section(record: RunRecord) -> Section:
    """Health of the codes as the tokenizer gave them, and what the trie makes of the final IDs."""
    folder = record.folder
    parts: list[Markup] = []
    about = folder.path / "semantic_ids.json"
    if about.exists():
        health = read_json(about)
        parts += [paragraph(_on_use(health)), *_advice(health), _levels(health), paragraph(_on_categories(health))]
    else:
        parts.append(warning(f"{about.name} is missing: the health of the codes is not known; run genrec tokenize."))
    found = [_stored(folder.report / file, title) for file, title in _PICTURES.items()]
    pictures = tuple(picture for picture in found if picture is not None)
    parts += [gallery(pictures), *([_on_missing(pictures)] if len(pictures) < len(_PICTURES) else [])]
    names = read_json(folder.code_names) if folder.code_names.exists() else {}
    report = load_prefix_trie(folder).report()
    largest = _largest_prefixes(load_semantic_ids(folder).codes, names)
    parts += [side_by_side(largest, _branching(report)), paragraph(_on_trie(report))]
    return Section("codebook", "Are the semantic IDs any good?", tuple(parts), pictures)


def _on_use(health: Mapping[str, Any]) -> str:
    level = min(range(len(health["usage"])), key=lambda number: health["usage"][number])
    text = (
        f"Of code {level + 1}, the least used one, {count(health['codes_used'][level])} of "
        f"{count(health['level_sizes'][level])} values are in use; before collisions were resolved, "
        f"{percent(1 - health['unique_share'])} of the items shared all their codes with another item"
    )
    shared = health["shared_ids"]
    if shared is None:
        return f"{text}."
    after = f"{count(shared)} items share their final ID" if shared else "every item has a final ID of its own"
    moved = f", {count(health['moved_items'])} items by leaving their nearest codes" if health["moved_items"] else ""
    return f"{text}; now {after}{moved}. Few values in use, or many items that share an ID, would be bad."


def _advice(health: Mapping[str, Any]) -> list[Markup]:
    alarms = [warning(f"Alarm: {health['alarm']}")] if health["alarm"] else []
    return [*alarms, *(paragraph(f"Note: {note}.") for note in health["notes"])]


def _levels(health: Mapping[str, Any]) -> Markup:
    header = ("code", "values", "used", "dead", "perplexity", "Gini", "prefixes", "items sharing", "largest prefix")
    columns = [
        [str(number) for number in range(1, len(health["level_sizes"]) + 1)],
        *([count(number) for number in health[name]] for name in ("level_sizes", "codes_used", "dead_codes")),
        [f"{value:.1f}" for value in health["perplexity"]],
        [f"{value:.2f}" for value in health["gini"]],
        [count(number) for number in health["distinct_prefixes"]],
        [percent(share) for share in health["prefix_collisions"]],
        [count(number) for number in health["largest_prefix"]],
    ]
    caption = "Code by code, as the tokenizer gave them; from “prefixes” on: of the ID up to this code"
    return table(header, [list(row) for row in zip(*columns, strict=True)], caption=caption)


def _on_categories(health: Mapping[str, Any]) -> str:
    agreement = health["category_agreement"]
    if agreement is None:
        return (
            "Agreement with categories is not known: no field “categories” or “category” of the items has between 5 "
            "and 200 of them."
        )
    return (
        f"The first code agrees with the items' categories by {agreement:.3f} (normalised mutual information; "
        f"{health['category_agreement_adjusted']:.3f} adjusted for chance, where 0 is chance and 1 the same groups)."
    )


def _stored(path: Path, title: str) -> Picture | None:
    """A picture that the tokenize stage drew."""
    return Picture(path.stem, title, path.read_bytes(), wide=True) if path.exists() else None


def _on_missing(pictures: tuple[Picture, ...]) -> Markup:
    missing = [file for file in _PICTURES if file not in {picture.file_name for picture in pictures}]
    return warning(
        f"Not here: {' and '.join(missing)}. The tokenize stage draws the codebook where matplotlib is installed, and "
        "the map where besides the codes were made from vectors; to draw them now, delete semantic_ids.json in the run "
        "and call ",
        code("genrec tokenize RUN"),
        ".",
    )


def _largest_prefixes(codes: Int[ndarray, "items id_length"], names: Mapping[str, str]) -> Markup:
    values, items = np.unique(codes[:, 0], return_counts=True)
    largest = np.argsort(-items, kind="stable")[:_SHOWN_PREFIXES]
    rows = [
        [
            str(values[place]),
            names.get(str(values[place]), NOTHING),
            count(int(items[place])),
            percent(int(items[place]) / len(codes)),
        ]
        for place in largest.tolist()
    ]
    title = "The largest first codes"
    caption = f"{title}, named by words that set their titles apart" if names else f"{title}; no titles to name them by"
    return table(("first code", "name", "items", "share"), rows, caption=caption, texts=(1,))


def _branching(report: TrieReport) -> Markup:
    header = ("after", "prefixes", "children, mean", "most", "with one child")
    rows = [
        [
            f"{depth} code{'s' if depth != 1 else ''}" if depth else "nothing",
            count(level.num_nodes),
            f"{level.mean:,.1f}",
            count(level.most),
            percent(level.share_of_one),
        ]
        for depth, level in enumerate(report.levels)
    ]
    return table(header, rows, caption="Branching of the trie: between how many codes the search chooses")


def _on_trie(report: TrieReport) -> str:
    own = "each of its own" if not report.shared_leaves else f"{count(report.shared_leaves)} of them of several items"
    return (
        f"{count(report.leaves.num_nodes)} IDs, {own}, in {report.bytes_per_item:.1f} bytes an item. A first code with "
        "few children, or last ones that nearly always have one, do little of the work."
    )
