"""What happens to the targets code by code: in the beam, in the model's mind, and in the blend."""

from collections.abc import Mapping, Sequence

from genrec.atomic_files import read_json
from genrec.recommendation.loading import RANKING_FILE
from genrec.report.drawing import new_axes, picture_of, style_of, ticks_of_codes
from genrec.report.markup import Markup, paragraph, side_by_side, table
from genrec.report.numbers import figure, percent
from genrec.report.record import UNFILTERED, RunRecord
from genrec.report.sections import Picture, Section, gallery

_NLL_TITLES = {
    "generator": "generator",
    "by_prefix": "counts, without a history",
    "by_prefix_and_last_item": "counts, after the last item",
    "uniform": "knowing nothing",
}


def decoding_section(record: RunRecord) -> Section:
    """Survival in the beam, NLL beside counting, and the blend's weights."""
    survival, nll = record.diagnostics["survival"], record.diagnostics["nll"]
    pictures = [survival_picture(survival), nll_picture(nll)]
    parts = [paragraph(on_survival(survival)), paragraph(on_nll(nll)), paragraph(_on_candidates(record))]
    curve = read_json(record.folder.generator / RANKING_FILE)["validation_ndcg@10"]
    pictures.append(_blend_picture(curve, record.recommendation.weight_of_item_head))
    parts.append(paragraph(_on_blend(curve, record)))
    parts += [gallery(pictures), side_by_side(_survival_table(survival), _nll_table(nll))]
    return Section("decoding", "Where are targets lost?", tuple(parts), tuple(pictures))


def losses_by_code(shares: Sequence[float]) -> list[float]:
    """Share of all targets that each code loses, of the shares that are left after each."""
    return [before - after for before, after in zip([1.0, *shares[:-1]], shares, strict=True)]


def widest(survival: Mapping[str, Sequence[float]]) -> str:
    """The widest beam that was measured."""
    return max(survival, key=int)


def on_survival(survival: Mapping[str, Sequence[float]]) -> str:
    """Which code loses most, in the widest beam."""
    size = widest(survival)
    lost = losses_by_code(survival[size])
    worst = max(range(len(lost)), key=lambda number: lost[number])
    rest = f"{percent(survival[size][-1])} are still there after the last one"
    if len(lost) == 1:
        return f"A beam of {size} holds {percent(survival[size][0])} of the targets after the only code."
    return (
        f"In a beam of {size}, code {worst + 1} loses most: {percent(lost[worst])} of all targets leave it there; "
        f"{rest}. A target whose prefix is gone before the last code cannot be listed, so a large loss at code 1 would "
        "call for a wider beam or better codes."
    )


def on_nll(nll: Mapping[str, Sequence[float]]) -> str:
    """How far the generator is ahead of counting, and where it is not."""
    own, counted = nll["generator"], nll["by_prefix_and_last_item"]
    behind = [
        str(number) for number, (one, other) in enumerate(zip(own, counted, strict=True), start=1) if one >= other
    ]
    text = (
        f"The generator needs {sum(own):.2f} nats for the codes of a target, counting after the last item "
        f"{sum(counted):.2f}; lower is better"
    )
    if not behind:
        return f"{text}, and it is ahead at every code."
    where = f"at code {', '.join(behind)} it is no better than counting"
    return (
        f"{text}; {where}. At code 1 that would be bad; later it matters less, after prefixes that it finds unlikely."
    )


def _on_candidates(record: RunRecord) -> str:
    found = record.metrics[UNFILTERED]
    return (
        f"Of all targets, {percent(found['candidates@50'])} are among the 50 items that are likeliest by their codes, "
        f"and {percent(found['recall@10'])} among the first ten of the final list, both without the history filter."
    )


def _on_blend(curve: Mapping[str, float], record: RunRecord) -> str:
    used = record.recommendation.weight_of_item_head
    text = (
        f"On the validation, NDCG@10 is {figure(curve['0.0'])} by the codes alone and {figure(curve['1.0'])} by the "
        "item head alone among the beam's items"
    )
    if record.recommendation.rank == "codes":
        return f"{text}; the run ranks by the codes alone."
    best = max(curve, key=lambda weight: curve[weight])
    own = f"the best weight is {best} ({figure(curve[best])}), the run uses {used:g}"
    return f"{text}; {own}. A peak at 0 or 1 means that one of the two adds nothing."


def survival_picture(survival: Mapping[str, Sequence[float]]) -> Picture:
    """A line for each width of beam."""
    axes = new_axes()
    for place, size in enumerate(sorted(survival, key=int, reverse=True)):
        shares = [100 * share for share in survival[size]]
        axes.plot(range(1, len(shares) + 1), shares, label=f"beam of {size}", **style_of(place))
    size = widest(survival)
    lost = losses_by_code(survival[size])
    worst = max(range(len(lost)), key=lambda number: lost[number])
    ticks_of_codes(axes, len(lost))
    axes.set_ylim(0, 103)
    axes.set_ylabel("targets still in the beam (%)")
    title = f"A beam of {size} loses most targets at code {worst + 1}: {percent(lost[worst])} of all"
    if len(lost) == 1:
        title = f"A beam of {size} holds {percent(survival[size][0])} of the targets"
    return picture_of(axes, "survival", title, legend=3)


def nll_picture(nll: Mapping[str, Sequence[float]]) -> Picture:
    """Lines of the generator, of counting and of knowing nothing."""
    axes = new_axes()
    for place, (name, title) in enumerate(_NLL_TITLES.items()):
        axes.plot(range(1, len(nll[name]) + 1), nll[name], label=title, **style_of(place))
    ticks_of_codes(axes, len(nll["generator"]))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("NLL of the target's code (nats)")
    own, counted = sum(nll["generator"]), sum(nll["by_prefix_and_last_item"])
    relation = "less" if own < counted else "more"
    title = f"The generator needs {abs(counted - own):.2f} nats an ID {relation} than counting"
    return picture_of(axes, "nll", title, legend=2)


def _blend_picture(curve: Mapping[str, float], used: float) -> Picture:
    weights = sorted(map(float, curve))
    by_weight = {float(weight): value for weight, value in curve.items()}
    best = max(weights, key=lambda weight: by_weight[weight])
    axes = new_axes()
    axes.plot(weights, [by_weight[weight] for weight in weights], label="validation", **style_of(0))
    axes.axvline(used, color="black", linestyle=":", linewidth=1.4, label=f"weight in use: {used:g}")
    axes.set(xlabel="weight of the item head (0: codes alone)", ylabel="NDCG@10 on the validation")
    gain = by_weight[best] / by_weight[0.0] - 1 if by_weight[0.0] else 0.0
    title = f"A weight of {best:g} is best: {100 * gain:+.1f} % in NDCG@10 over the codes alone"
    return picture_of(axes, "blend", title, legend=2)


def _survival_table(survival: Mapping[str, Sequence[float]]) -> Markup:
    header = ("beam", *(f"code {number}" for number in range(1, len(next(iter(survival.values()))) + 1)))
    rows = [[size, *map(figure, shares)] for size, shares in survival.items()]
    return table(header, rows, caption="Share of the targets whose prefix is in the beam after each code")


def _nll_table(nll: Mapping[str, Sequence[float]]) -> Markup:
    header = ("", *(f"code {number}" for number in range(1, len(nll["generator"]) + 1)), "all")
    rows = [[title, *map(figure, nll[name]), figure(sum(nll[name]))] for name, title in _NLL_TITLES.items()]
    return table(header, rows, caption="Mean NLL of the targets' codes, in nats", marked=(0,))
