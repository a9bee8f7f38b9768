"""How a run was made, so that it can be made again."""

import platform

import torch

from genrec.artifacts import BASELINE_OUTPUTS, STAGE_OUTPUTS, RunFolder
from genrec.report.markup import Markup, code, element, paragraph, table
from genrec.report.record import RunRecord
from genrec.report.sections import Section


def origin_section(record: RunRecord) -> Section:
    """Versions, seed, command, fingerprints, and the whole config."""
    from genrec import __version__

    folder = record.folder
    commands = ["genrec run config.yaml --out RUN", *(f"genrec baseline {name} RUN" for name in _trained(record))]
    if _trained(record):
        commands.append("genrec evaluate RUN")
    parts = [
        paragraph(
            f"Run {folder.path.resolve().name}, seed {record.config['seed']}; this report was made by genrec "
            f"{__version__}, Python {platform.python_version()}, torch {torch.__version__}."
        ),
        *_on_earlier_run(record),
        paragraph("To make it again, save the config below as config.yaml and call:"),
        element("pre", "\n".join(commands)),
        _fingerprints(folder, _trained(record)),
        paragraph("The config with all its defaults:"),
        element("pre", folder.config.read_text(encoding="utf-8"), class_="config", tabindex="0"),
    ]
    return Section("origin", "How was it made?", tuple(parts))


def _trained(record: RunRecord) -> list[str]:
    """Baselines that were trained beside the run."""
    return [name for name in BASELINE_OUTPUTS if name in record.metrics["baselines"]]


def _on_earlier_run(record: RunRecord) -> list[Markup]:
    earlier = record.config.get("earlier_run")
    if not earlier:
        return []
    return [paragraph("It goes on from an earlier run, which must be there too: ", code(str(earlier)), ".")]


def _fingerprints(folder: RunFolder, baselines: list[str]) -> Markup:
    manifests = [folder.manifest(name) for name in (*STAGE_OUTPUTS, *baselines)]
    rows = [
        [manifest.stage, element("code", manifest.fingerprint[:16])] for manifest in manifests if manifest is not None
    ]
    caption = "Fingerprint of all that each stage read (its beginning); equal ones, equal inputs"
    return table(("stage", "fingerprint"), rows, caption=caption, texts=(1,))
