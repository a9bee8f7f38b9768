"""How the training went: losses step by step, validations, seconds."""

from genrec.report.drawing import new_axes, picture_of, style_of
from genrec.report.markup import Markup, paragraph, table, warning
from genrec.report.numbers import count, figure
from genrec.report.record import RunRecord
from genrec.report.sections import Picture, Section, gallery
from genrec.report.training_curves import Event, TrainingCurves, curves_of, read_log

_SEEN = "ndcg@10"


def training_section(record: RunRecord) -> Section:
    """Curves where the log has them, and the seconds of every stage."""
    curves = curves_of(read_log(record.folder.log))
    pictures: list[Picture] = []
    parts: list[Markup] = []
    if curves.trained:
        pictures += [_loss_picture(curves), *_nll_pictures(curves.trained)]
    else:
        parts.append(warning(f"{record.folder.log.name} has no training step, so there are no curves of the losses."))
    if curves.validated:
        pictures.append(_validation_picture(curves))
        parts.append(paragraph(_on_validations(curves.validated, record)))
    else:
        parts.append(warning(f"{record.folder.log.name} has no validation: how the training converged is not known."))
    if curves.resumed_at:
        steps = ", ".join(map(count, curves.resumed_at))
        parts.append(paragraph(f"The training was stopped and went on at step {steps}; steps done twice count once."))
    seconds = record.metrics["seconds"]
    rows = [[stage, f"{spent:,.1f}"] for stage, spent in seconds.items()]
    rows.append(["all", f"{sum(seconds.values()):,.1f}"])
    parts += [gallery(pictures), table(["stage", "seconds"], rows, caption="Seconds, resumed parts added up")]
    return Section("training", "Has the training converged?", tuple(parts), tuple(pictures))


def best_validation(validated: list[Event]) -> Event:
    """The one whose weights the training kept: the first of the highest NDCG@10."""
    return max(validated, key=lambda event: event[_SEEN])


def values_of(events: list[Event], name: str) -> list[float]:
    """One figure of every event; NaN where the event has none, and for what was written as text."""
    return [float(event.get(name, "nan")) for event in events]


def _on_validations(validated: list[Event], record: RunRecord) -> str:
    best, last = best_validation(validated), validated[-1]
    epochs = record.config["training"]["epochs"]
    text = f"NDCG@10 on the validation was best after epoch {best['epoch']} of {epochs} ({figure(best[_SEEN])})"
    if len(validated) == 1:
        return f"{text}, the only one that was validated: whether more would help is not known."
    if best["step"] == last["step"]:
        return f"{text}, the last one: it may not have converged, and more epochs may help."
    return f"{text}; the last one has {figure(last[_SEEN])}. A long fall after the best would be overfitting."


def _loss_picture(curves: TrainingCurves) -> Picture:
    steps, losses = [event["step"] for event in curves.trained], values_of(curves.trained, "loss")
    axes = new_axes()
    axes.plot(steps, losses, **style_of(0, markersize=3))
    axes.set(xlabel="step", ylabel="loss (nats a target, all terms)")
    title = f"The loss went from {losses[0]:.2f} to {losses[-1]:.2f} by step {count(steps[-1])}"
    return picture_of(axes, "training-loss", title)


def _nll_pictures(trained: list[Event]) -> list[Picture]:
    """One, with a line for each code; none where the log has no NLL by level."""
    names = sorted((name for name in trained[-1] if name.startswith("nll_level_")), key=lambda name: (len(name), name))
    if not names:
        return []
    axes = new_axes()
    steps = [event["step"] for event in trained]
    for place, name in enumerate(names):
        label = f"code {name.removeprefix('nll_level_')}"
        axes.plot(steps, values_of(trained, name), label=label, **style_of(place, markersize=3))
    axes.set(xlabel="step", ylabel="NLL of the code (nats)")
    axes.set_ylim(bottom=0)
    hardest = max(names, key=lambda name: float(trained[-1][name])).removeprefix("nll_level_")
    title = f"Code {hardest} stays the hardest to say"
    return [picture_of(axes, "training-nll", title if len(names) > 1 else "NLL of the only code", legend=4)]


def _validation_picture(curves: TrainingCurves) -> Picture:
    validated, best = curves.validated, best_validation(curves.validated)
    axes = new_axes()
    steps = [event["step"] for event in validated]
    axes.plot(steps, values_of(validated, _SEEN), label="as judged", **style_of(0))
    by_codes = values_of(validated, f"codes_{_SEEN}")
    if by_codes != values_of(validated, _SEEN):
        axes.plot(steps, by_codes, label="codes alone", **style_of(1))
    axes.plot([best["step"]], [best[_SEEN]], marker="*", markersize=16, color="black", linestyle="none", label="best")
    axes.set(xlabel="step", ylabel="NDCG@10 on the validation")
    title = f"Validation was best after epoch {best['epoch']}, at step {count(best['step'])}"
    return picture_of(axes, "validation", title, legend=3)
