"""A run folder -> report.html and its pictures."""

import os
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genrec.artifacts import RunFolder, is_run_folder
from genrec.atomic_files import atomic_write
from genrec.errors import ConfigError
from genrec.progress import Progress, Silence
from genrec.recommendation.recommender import Recommender, best_device
from genrec.report.audience import audience_section
from genrec.report.codebook import codebook_section
from genrec.report.decoding import decoding_section
from genrec.report.drawing import require_matplotlib
from genrec.report.examples import examples_section, histories_of
from genrec.report.head import head
from genrec.report.latency import latency_section, not_measured
from genrec.report.origin import origin_section
from genrec.report.page import page
from genrec.report.quality import quality_section
from genrec.report.record import RunRecord
from genrec.report.sections import Picture, Section
from genrec.report.training import training_section

PAGE = "report.html"
_DRAWN = (
    *("quality-recall", "quality-ndcg", "training-loss", "training-nll", "validation", "survival", "nll", "blend"),
    *("by-popularity", "by-history", "coverage", "popular"),
)
"""Pictures of the report's own; those of the codebook are the tokenize stage's."""
_TIMED_HISTORIES = 1000


class ReportFiles(NamedTuple):
    """What was written."""

    page: Path
    pictures: list[Path]


def write_report(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    with_latency: bool = True,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> ReportFiles:
    """Write the report of a run that has been evaluated into `out`, by default the run's own folder `report`.

    The page comes last and holds its pictures, so that a report that is broken off leaves the earlier page whole.
    `with_latency`: whether it measures, for some seconds, how fast this machine recommends. `now`: the time that the
    page says it was written at.

    Raises:
        ArtifactError: the run has not been evaluated, a part of it is damaged, or another process writes to it.
        ConfigError: matplotlib is missing, or `out` is another run.
    """
    folder, progress = RunFolder.open(run), progress or Silence()
    target = folder.report if out is None else Path(out)
    check_target(out)
    with folder.lock() if target.resolve().is_relative_to(folder.path.resolve()) else nullcontext():
        record = RunRecord.read(folder)
        sections = report_sections(record, with_latency=with_latency, progress=progress)
        written_at = (now or datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M %Z").strip()
        title = f"GenRec report: {folder.path.resolve().name}"
        pictures = [picture for section in sections for picture in section.pictures]
        paths = [_write_picture(picture, target) for picture in pictures]
        html = page(title, head(record, written_at), sections)
        atomic_write(target / PAGE, html.encode("utf-8"))
        for name in {*_DRAWN} - {picture.name for picture in pictures}:
            (target / f"{name}.png").unlink(missing_ok=True)  # of an earlier report
    return ReportFiles(target / PAGE, paths)


def check_target(out: str | os.PathLike[str] | None) -> None:
    """`ConfigError` if no report can be drawn, or not into this folder (None: the run's own)."""
    require_matplotlib()
    if out is not None and is_run_folder(out):
        raise ConfigError(
            f"--out {out} is a run folder; expected a folder for the report, such as {Path(out) / 'report'}"
        )
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise ConfigError(f"--out {out} is a file; expected a folder for the report")


def report_sections(record: RunRecord, *, with_latency: bool, progress: Progress) -> list[Section]:
    """In the order of the page."""
    sections = []
    for make in (quality_section, training_section, codebook_section, decoding_section, audience_section):
        progress.say(f"report: {make.__name__.removesuffix('_section')} ...")
        sections.append(make(record))
    progress.say("report: examples ...")
    recommender = Recommender.from_pretrained(record.folder.path, device=best_device(), with_additions=False)
    sections.append(examples_section(record, recommender))
    if with_latency:
        progress.say("report: latency ...")
        sections.append(latency_section(recommender, _timed_histories(record)))
    else:
        sections.append(Section("latency", "How fast is it here?", (not_measured(),)))
    return [*sections, origin_section(record)]


def _timed_histories(record: RunRecord) -> list[list[str]]:
    """Of test users spread evenly."""
    num_cases = len(record.cases.ends)
    chosen = np.unique(np.linspace(0, num_cases - 1, min(_TIMED_HISTORIES, num_cases)).astype(np.int64))
    return histories_of(record, chosen.tolist())


def _write_picture(picture: Picture, folder: Path) -> Path:
    path = folder / picture.file_name
    atomic_write(path, picture.png)
    return path
