"""Who is served, and with what: popular and rare items, short and long histories, how much of the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Any

from genrec.report.drawing import dodged, error_bars, new_axes, picture_of, style_of
from genrec.report.markup import Markup, paragraph, side_by_side, table, warning
from genrec.report.methods import Method, compared, lead_over, methods_of, strongest_baselines
from genrec.report.numbers import NOTHING, count, figure, percent, points
from genrec.report.record import FILTERED, RunRecord
from genrec.report.sections import Picture, Section, gallery
from genrec.report.slices import FIGURE, Slice, slices_by_history, slices_by_popularity

FEW_CASES = 30
"""With fewer a recall says next to nothing: its interval is up to 36 points wide."""


def audience_section(record: RunRecord) -> Section:
    """Slices and coverage, by the protocol that the run serves."""
    methods, protocol = methods_of(record), record.served_protocol
    drawn = compared(methods, protocol)
    popularity, histories = slices_by_popularity(record, methods), slices_by_history(record, methods)
    best = next(iter(strongest_baselines(methods, protocol)), None)
    groups = {"targets with training interactions": popularity, "histories of length": histories}
    pictures = [
        slices_picture(
            popularity,
            drawn,
            "by-popularity",
            xlabel="training interactions of the target (test users)",
            title=_title(popularity, "targets seen {} times").replace("seen 0 times", "never seen"),
        ),
        slices_picture(
            histories,
            drawn,
            "by-history",
            xlabel="items in the history (test users)",
            title=_title(histories, "targets after {} items"),
        ),
        *_coverage_pictures(record, drawn),
    ]
    filtered = "history filtered out" if protocol == FILTERED else "without history filter"
    parts = [
        paragraph(
            f"All figures of this part are as the run serves: {filtered}. Intervals are those of a bootstrap, which "
            "has no width where nobody is found."
        ),
        paragraph(_on_cold(popularity[0], methods[0], best)),
        *([] if best is None else [paragraph(_on_slices(record, groups, methods[0], best))]),
        paragraph(_on_coverage(record)),
        *_on_popular(record),
        gallery(pictures),
        side_by_side(
            _slices_table(popularity, methods, "training interactions of the target"),
            _slices_table(histories, methods, "items in the history"),
            _coverage_table(record, methods),
        ),
    ]
    return Section("audience", "Who is served, and with what?", tuple(parts), tuple(pictures))


def _on_cold(cold: Slice, own: Method, best: Method | None) -> str:
    """On items that were never seen in training, if any was a target."""
    if not cold.num_cases:
        return "No test user took an item that training never saw, so nothing is said of cold items."
    found = f"the generator finds it for {percent(cold.recalls[own.name])} of them{_at_most(cold, own)}"
    if best is not None and best.name in cold.recalls:
        found += f", {best.title} for {percent(cold.recalls[best.name])}"
    enough = cold.num_cases >= FEW_CASES
    judged = "codes made from content should find some" if enough else "too few to judge by"
    return f"{count(cold.num_cases)} test users took an item that training never saw; {found}: {judged}."


def _at_most(cold: Slice, own: Method) -> str:
    """How many may be found where nobody was: a bootstrap cannot say."""
    if cold.recalls[own.name] or cold.num_cases < FEW_CASES:
        return ""
    return f" (with 95 % confidence at most {percent(3 / cold.num_cases)})"  # rule of three; Hanley & Lippman-Hand 1983


def _on_slices(record: RunRecord, groups: Mapping[str, Sequence[Slice]], own: Method, best: Method) -> str:
    """Where the strongest baseline is ahead."""
    behind, is_paired = [], False
    for kind, slices in groups.items():
        for each in slices:
            if not each.num_cases or best.name not in each.recalls:
                continue
            lead = lead_over(record, own, best, cases=each.cases)
            is_paired = is_paired or lead is not None
            difference = each.recalls[own.name] - each.recalls[best.name]
            if difference < 0 and (lead is None or lead.high < 0):
                behind.append(f"{kind} {each.name} ({points(difference)} points, {count(each.num_cases)} users)")
    chance = " beyond chance (95 % intervals, paired by user)" if is_paired else ""
    if not behind:
        return f"In no slice is {best.title} ahead of the generator in recall@10{chance}."
    return f"{best.title} is ahead of the generator in recall@10{chance} for {'; '.join(behind)}."


def _on_coverage(record: RunRecord) -> str:
    shown = record.diagnostics["coverage"][record.served_protocol]["generator"]
    text = (
        f"All lists of ten together show {count(shown['distinct_items'])} of {count(record.metrics['items'])} items "
        f"({percent(shown['share_of_items'])}), with a Gini coefficient of {shown['gini']:.2f} (0: all listed alike, "
        "1: one item has every place)"
    )
    return f"{text}. That is a collapse: everybody gets the same." if shown["collapsed"] else f"{text}."


def _on_popular(record: RunRecord) -> list[Markup]:
    shown, targets = record.diagnostics["coverage"][record.served_protocol]["generator"], "popular_share_of_targets"
    if targets not in record.diagnostics:
        return [
            warning(
                "The share of popular items in the lists was not measured when this run was evaluated; delete "
                "metrics.json and call genrec evaluate RUN."
            )
        ]
    own, taken = shown["popular_share"], record.diagnostics[targets]
    relation = "more" if own > taken else "no more"
    return [
        paragraph(
            f"The most popular tenth of the items has {percent(own)} of the places in the lists, and {percent(taken)} "
            f"of what the users took: the lists lean {relation} to popular items than the users do."
        )
    ]


def slices_picture(
    slices: Sequence[Slice], methods: Sequence[Method], name: str, *, xlabel: str, title: str
) -> Picture:
    """Recall by slice with intervals; slices without a case are left out."""
    present = [each for each in slices if each.num_cases]
    axes = new_axes(height=4.2)
    for place, method in enumerate(methods):
        known = [(float(number), each) for number, each in enumerate(present) if method.name in each.recalls]
        recalls = [each.recalls[method.name] for _, each in known]
        errors = error_bars(recalls, [each.intervals.get(method.name) for _, each in known], scale=100.0)
        style = style_of(place, color="black") if method.kind == "oracle" else style_of(place)
        spread = dodged([number for number, _ in known], place, len(methods))
        shares = [100 * recall for recall in recalls]
        axes.errorbar(spread, shares, yerr=errors, label=method.title, elinewidth=1.0, **style)
    axes.set_xticks(range(len(present)), [f"{each.name}\n({count(each.num_cases)})" for each in present])
    axes.set_xlim(-0.6, len(present) - 0.4)
    top = axes.get_ylim()[1]
    axes.set_ylim(-0.03 * top, top)  # marks at 0 stay whole
    axes.set(xlabel=xlabel, ylabel="recall@10 (%), 95 % interval")
    return picture_of(axes, name, title, legend=2)


def _title(slices: Sequence[Slice], what: str) -> str:
    """The best and the worst of the slices that have enough cases to judge by, or of all if none has."""
    judged = [each for each in slices if each.num_cases >= FEW_CASES] or [each for each in slices if each.num_cases]
    best, worst = (choose(judged, key=lambda each: each.recalls["generator"]) for choose in (max, min))
    high, low = (f"{percent(each.recalls['generator'])} of {what.format(each.name)}" for each in (best, worst))
    return f"The generator finds {high}" if best is worst else f"The generator finds {high}, but {low}"


def _coverage_pictures(record: RunRecord, methods: Sequence[Method]) -> list[Picture]:
    coverage = record.diagnostics["coverage"][record.served_protocol]
    measured = [method for method in methods if method.name in coverage]
    shares = {method.title: 100 * coverage[method.name]["share_of_items"] for method in measured}
    own = percent(coverage["generator"]["share_of_items"])
    pictures = [
        _bars(shares, "coverage", f"The lists of all users show {own} of the catalogue", "items in any list of ten (%)")
    ]
    taken = record.diagnostics.get("popular_share_of_targets")
    if taken is not None:
        popular = {method.title: 100 * coverage[method.name]["popular_share"] for method in measured}
        lists = percent(coverage["generator"]["popular_share"])
        title = f"The most popular tenth has {lists} of the places, and {percent(taken)} of what users took"
        xlabel = "places in the lists of ten (%)"
        pictures.append(_bars(popular, "popular", title, xlabel, mark=("what users took", 100 * taken)))
    return pictures


def _bars(
    values: Mapping[str, float], name: str, title: str, xlabel: str, *, mark: tuple[str, float] | None = None
) -> Picture:
    """A bar for each method, the first one on top; `mark`: a line across with its name."""
    axes = new_axes(height=1.7 + 0.36 * len(values))
    titles = list(values)[::-1]
    colours = [style_of(0)["color"] if title == next(iter(values)) else "#999999" for title in titles]
    bars = axes.barh(titles, [values[title] for title in titles], color=colours, height=0.62)
    axes.bar_label(bars, [f"{values[title]:.1f}" for title in titles], padding=3, fontsize=9)
    if mark is not None:
        axes.axvline(mark[1], color="black", linestyle="--", linewidth=1.6, label=mark[0])
    axes.set_xlim(0, 112)
    axes.set_xlabel(xlabel)
    return picture_of(axes, name, title, legend=1 if mark is not None else 0)


def _slices_table(slices: Sequence[Slice], methods: Sequence[Method], by: str) -> Markup:
    header = ("method", *(f"{each.name} ({count(each.num_cases)})" for each in slices))
    rows = [[method.title, *(figure(each.recalls.get(method.name)) for each in slices)] for method in methods]
    caption = f"{FIGURE} by {by} (test users); {NOTHING}: no such user, or not measured"
    return table(header, rows, caption=caption, marked=(0,))


def _coverage_table(record: RunRecord, methods: Sequence[Method]) -> Markup:
    coverage: Mapping[str, Mapping[str, Any]] = record.diagnostics["coverage"][record.served_protocol]
    rows = []
    for method in methods:
        shown = coverage.get(method.name)
        if shown is None:
            rows.append([method.title, *[NOTHING] * 4])
            continue
        cells = [count(shown["distinct_items"]), figure(shown["share_of_items"]), figure(shown["gini"])]
        rows.append([method.title, *cells, figure(shown.get("popular_share"))])
    header = ("method", "distinct items", "share of items", "Gini", "share of popular items")
    return table(header, rows, caption=f"All lists of ten together; {NOTHING}: not measured", marked=(0,))
