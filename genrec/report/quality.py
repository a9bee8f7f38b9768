"""How good the lists are: every method by both protocols, with intervals."""

from genrec.evaluation.intervals import Interval
from genrec.report.drawing import error_bars, new_axes, picture_of, style_of
from genrec.report.markup import Markup, element, joined, paragraph, table, warning
from genrec.report.methods import Method, interval_of, lead_over, methods_of, strongest_baselines
from genrec.report.numbers import NOTHING, count, figure, figure_range, percent, points, whole_percent
from genrec.report.record import FILTERED, UNFILTERED, RunRecord
from genrec.report.sections import Picture, Section, gallery

_TITLES = {UNFILTERED: "without history filter", FILTERED: "history filtered out"}
_COLUMNS = ("recall@5", "recall@10", "recall@20", "ndcg@10", "candidates@50")
_WITH_INTERVAL = ("recall@10", "ndcg@10")

Intervals = dict[tuple[str, str, str], Interval | None]
"""Protocol, method, figure."""


def quality_section(record: RunRecord) -> Section:
    """The tables of both protocols, the served one first, and how far the generator is ahead."""
    methods, protocol = methods_of(record), record.served_protocol
    protocols = (protocol, *(other for other in _TITLES if other != protocol))
    intervals: Intervals = {
        (each, method.name, name): interval_of(record, method, each, name)
        for each in protocols
        for method in methods
        for name in _WITH_INTERVAL
    }
    pictures = tuple(_picture(methods, protocols, intervals, name) for name in _WITH_INTERVAL)
    parts = [*_sentences(record, methods, intervals), gallery(pictures)]
    parts += [_table(methods, each, intervals) for each in protocols]
    parts.append(_note(methods, intervals))
    return Section("quality", "How good are the lists?", tuple(parts), pictures)


def _sentences(record: RunRecord, methods: list[Method], intervals: Intervals) -> list[Markup]:
    own, protocol = methods[0], record.served_protocol
    recall, interval = own.figures[protocol]["recall@10"], intervals[protocol, own.name, "recall@10"]
    found = (
        f"The next item is among the first ten of the list for {percent(recall)} of "
        f"{count(record.metrics['users'])} test users"
    )
    between = "" if interval is None else f" (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    sentences = [paragraph(element("strong", f"{found}{between}."), f" Lists are ranked as {_served(record)}.")]
    best = next(iter(strongest_baselines(methods, protocol)), None)
    sentences.append(paragraph(_comparison(record, own, best)) if best else _no_baseline())
    oracle = next((method for method in methods if method.kind == "oracle"), None)
    if oracle is not None:
        share = recall / oracle.figures[protocol]["recall@10"]
        sentences.append(
            paragraph(
                f"The oracle knows the embedded world's law: the generator reaches {percent(share)} of its recall."
            )
        )
    return sentences


def _served(record: RunRecord) -> str:
    rank = "the codes alone" if record.recommendation.rank == "codes" else "a blend of codes and item head"
    return f"the run serves them, by {rank}, {_TITLES[record.served_protocol]}"


def _comparison(record: RunRecord, own: Method, best: Method) -> str:
    """How far the generator is from the strongest baseline."""
    protocol = record.served_protocol
    ours, theirs = own.figures[protocol]["recall@10"], best.figures[protocol]["recall@10"]
    text = f"The strongest baseline, {best.title}, finds it for {percent(theirs)}: {points(ours - theirs)} points"
    lead = lead_over(record, own, best)
    if lead is None:
        return f"{text}, of which it is not known how sure they are."
    between = f"{text} (95 % interval {points(lead.low)} to {points(lead.high)}, paired by user)"
    if lead.low <= 0 <= lead.high:
        return f"{between}, which may be chance: more test users, or a better model, would tell."
    return f"{between}, more than chance." if lead.low > 0 else f"{between}: do not deploy the generator instead of it."


def _no_baseline() -> Markup:
    return warning(
        "No baseline was measured, so nothing says whether these figures are good. Name counting ones in "
        "evaluation.baselines, or train one: genrec baseline sasrec RUN."
    )


def _table(methods: list[Method], protocol: str, intervals: Intervals) -> Markup:
    oracle = next((method for method in methods if method.kind == "oracle"), None)
    header = ["method"]
    for name in _COLUMNS:
        header += [name, f"{name}, 95 %"] if name in _WITH_INTERVAL else [name]
    header += ["of oracle"] if oracle else []
    rows = []
    for method in methods:
        row: list[str] = [method.title]
        for name in _COLUMNS:
            row.append(figure(method.figures[protocol].get(name)))
            row += [figure_range(intervals[protocol, method.name, name])] if name in _WITH_INTERVAL else []
        if oracle:
            row.append(percent(method.figures[protocol]["recall@10"] / oracle.figures[protocol]["recall@10"]))
        rows.append(row)
    return table(header, rows, caption=f"Test, {_TITLES[protocol]}", marked=(0,))


def _note(methods: list[Method], intervals: Intervals) -> Markup:
    note = (
        "Full ranking of exact items, one target a user; candidates@50 is the share of targets among the 50 items that "
        "are likeliest by their codes (methods that rank all items: their first 50). Intervals hold 95 % of 10,000 "
        "bootstrap resamples of the users; they do not know how much another seed would change. More cutoffs are in "
        "metrics.json."
    )
    if any(method.kind == "oracle" for method in methods):
        note += " “Of oracle” is the share of its recall@10."
    without = [method.title for method in methods if intervals[UNFILTERED, method.name, "recall@10"] is None]
    if not without:
        return paragraph(note)
    missing = (
        f"No intervals for {', '.join(without)}: the ranks of their cases are not in the run; delete metrics.json and "
        "call genrec evaluate RUN."
    )
    return joined(paragraph(note), warning(missing))


def _picture(methods: list[Method], protocols: tuple[str, ...], intervals: Intervals, name: str) -> Picture:
    """A line for each method, the best on top; the served protocol is filled."""
    served = protocols[0]
    ordered = sorted(methods, key=lambda method: method.figures[served][name])
    axes = new_axes(height=1.7 + 0.32 * len(methods))
    for number, protocol in enumerate(protocols):
        places = [place + (0.13 if number == 0 else -0.13) for place in range(len(ordered))]
        values = [method.figures[protocol][name] for method in ordered]
        errors = error_bars(values, [intervals[protocol, method.name, name] for method in ordered])
        style = style_of(number, linestyle="none", markersize=6, linewidth=1.4)
        fill = style["color"] if number == 0 else "white"
        axes.errorbar(values, places, xerr=errors, label=_TITLES[protocol], markerfacecolor=fill, **style)
    axes.set_yticks(range(len(ordered)), [method.title for method in ordered])
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{name} with 95 % interval")
    return picture_of(axes, f"quality-{name.split('@')[0]}", _title(methods, served, name), legend=2)


def _title(methods: list[Method], protocol: str, name: str) -> str:
    own = methods[0]
    best = max(
        (method for method in methods if method.kind == "baseline"),
        default=None,
        key=lambda method: method.figures[protocol][name],
    )
    if best is None:
        return f"The generator has {name} {figure(own.figures[protocol][name])}"
    ours, theirs = own.figures[protocol][name], best.figures[protocol][name]
    if theirs == 0:
        return f"No baseline finds anything: {name} {NOTHING}"
    relation = "above" if ours > theirs else "below" if ours < theirs else "as high as"
    share = "" if ours == theirs else f"{whole_percent(abs(ours / theirs - 1))} "
    return f"{name} of the generator is {share}{relation} that of the best baseline, {best.title}"
