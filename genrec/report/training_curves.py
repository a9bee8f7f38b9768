"""The way of the newest training, out of the lines of log.jsonl."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genrec.errors import ArtifactError

Event = Mapping[str, Any]


class TrainingCurves(NamedTuple):
    """Each step and each validation once, in their order; empty where the log has none."""

    trained: list[Event]
    """Means over the targets of one step: loss, nll_level_1, ..."""
    validated: list[Event]
    resumed_at: list[int]
    """Steps at which a stopped training went on."""


def read_log(path: Path) -> list[Event]:
    """The events of a log in their order, less a line that is being written; `ArtifactError` if another is damaged."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ArtifactError(f"{path}, line {number} is not JSON ({error.msg}); delete the line") from error
    return events


def curves_of(events: Iterable[Event]) -> TrainingCurves:
    """The newest training: resumed parts joined, steps that were done again drawn as they were done last.

    A training that resumes at a step takes back what was logged after it; one that begins again at an earlier step
    without saying so is another training.
    """
    trained: dict[int, Event] = {}
    validated: dict[int, Event] = {}
    resumed_at: list[int] = []
    for event in events:
        kind, step = event.get("event"), event.get("step", 0)
        if kind == "resumed":
            trained, validated = _until(trained, step), _until(validated, step)
            resumed_at = [*(earlier for earlier in resumed_at if earlier <= step), step]
        elif kind == "trained":
            if trained and step <= max(trained):
                trained, validated, resumed_at = {}, {}, []
            trained[step] = event
        elif kind == "validated":
            validated[step] = event
    return TrainingCurves([*trained.values()], [validated[step] for step in sorted(validated)], sorted({*resumed_at}))


def _until(events: dict[int, Event], step: int) -> dict[int, Event]:
    return {number: event for number, event in events.items() if number <= step}
