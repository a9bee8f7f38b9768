"""The run folder: where each stage leaves its work, and how the next one knows that it is there and belongs to it.

A stage is done when its manifest `stages/<stage>.json` carries the fingerprint of today's inputs and every file that
it lists still has its size. Nothing is ever half written: files appear by a rename, manifests come last.
"""

import dataclasses
import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any

from genrec.atomic_files import TEMPORARY, atomic_folder, atomic_json, atomic_write, read_json, remove
from genrec.errors import ArtifactError, RunInUseError
from genrec.fingerprints import file_fingerprint, files_of, fingerprint, plain
from genrec.model_card import CARD_FILE

__all__ = [
    "BASELINE_OUTPUTS",
    "STAGE_OUTPUTS",
    "Manifest",
    "RunFolder",
    "atomic_folder",
    "atomic_json",
    "atomic_write",
    "file_fingerprint",
    "fingerprint",
    "is_run_folder",
    "read_json",
]

STAGE_OUTPUTS: dict[str, tuple[str, ...]] = {
    "prepare": ("items.parquet", "sequences.parquet"),
    "embed": ("embeddings.npy",),
    "tokenize": ("semantic_ids.npz",),
    "index": ("trie",),
    "train": ("generator/model.safetensors",),
    "evaluate": ("metrics.json",),
}
"""What every stage must leave behind, in the order of the stages; a stage may record more."""

BASELINE_OUTPUTS: dict[str, tuple[str, ...]] = {
    name: tuple(f"baselines/{name}/{file}" for file in ("model.safetensors", "metrics.json", "case_ranks.npz"))
    for name in ("sasrec", "sasrec_content", "sasrec_one_negative", "bert4rec", "tiger")
}
"""The same for the baselines that are trained, each a stage beside the others."""

_OUTPUTS = STAGE_OUTPUTS | BASELINE_OUTPUTS

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a finished stage wrote, and from what."""

    stage: str
    fingerprint: str
    seconds: float
    """Over all parts, if the stage was stopped and resumed."""
    outputs: dict[str, int]
    """Path inside the run folder -> size in bytes; folders are listed file by file."""


class RunFolder:
    """The paths of a run and the manifests of its stages; a folder is a run when it holds `config.yaml`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.items = self.path / "items.parquet"
        self.sequences = self.path / "sequences.parquet"
        self.embeddings = self.path / "embeddings.npy"
        self.encoder_fit = self.path / "encoder_fit"
        self.tokenizer = self.path / "tokenizer"
        self.semantic_ids = self.path / "semantic_ids.npz"
        self.code_names = self.path / "code_names.json"
        self.prefix_trie = self.path / "trie"
        self.generator = self.path / "generator"
        self.additions = self.path / "additions"
        self.metrics = self.path / "metrics.json"
        self.log = self.path / "log.jsonl"
        self.report = self.path / "report"
        self.stages = self.path / "stages"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """A run that exists; `ArtifactError` otherwise."""
        if not is_run_folder(path):
            found = "has no config.yaml" if Path(path).is_dir() else "does not exist"
            raise ArtifactError(
                f"{path} is not a run folder: it {found}; make one with `genrec run CONFIG --out {path}`"
            )
        return cls(path)

    def of_baseline(self, name: str) -> "RunFolder":
        """The folder of a trained baseline: `metrics` and `log` lie in it as they do in a run."""
        return RunFolder(self.path / "baselines" / name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing; makes the folder, and clears what an earlier process left half written.

        `RunInUseError` while another process holds it, `ArtifactError` for a folder with other things in it. Readers
        need no lock.
        """
        self._make()
        with (self.path / ".lock").open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise RunInUseError(
                    f"run folder {self.path} is in use by pid {holder}; wait for it or end it, "
                    "or choose another folder with --out"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                for leftover in list(self.path.rglob(f"{TEMPORARY}*")):
                    remove(leftover)
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _make(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ArtifactError(f"{self.path} is a file; a run needs a folder: choose another with --out")
        if self.path.is_dir() and not self.config.exists():
            names = (entry.name for entry in self.path.iterdir())
            strange = sorted(name for name in names if not name.startswith((".lock", TEMPORARY)))
            if strange:
                raise ArtifactError(
                    f"{self.path} is not empty and not a run folder (it holds {strange[0]!r} and no config.yaml); "
                    "choose a new folder with --out"
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{self.path} cannot be made ({error}); choose another folder with --out") from error

    def manifest(self, stage: str) -> Manifest | None:
        """What the stage recorded; None if it has not finished. `ArtifactError` if the manifest is damaged."""
        path = self._manifest_path(stage)
        if not path.exists():
            return None
        fields = read_json(path)
        try:
            return Manifest(stage, str(fields["fingerprint"]), float(fields["seconds"]), dict(fields["outputs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{path} is not a stage's manifest ({error!r}); delete it and run the stage again"
            ) from error

    def is_done(self, stage: str, fingerprint: str) -> bool:
        """True if the stage finished with the same inputs and its files are all there in their recorded sizes."""
        try:
            manifest = self.manifest(stage)
        except ArtifactError as error:
            _log.warning("%s: running the stage again", error)
            return False
        return manifest is not None and manifest.fingerprint == fingerprint and not self._damage(manifest)

    def record(
        self,
        stage: str,
        fingerprint: str,
        *,
        outputs: Sequence[str | os.PathLike[str]],
        seconds: float,
        earlier_seconds: float = 0.0,
    ) -> Manifest:
        """Note that a stage is done; `earlier_seconds` are those of parts before an interruption.

        `outputs`: files and folders such as `run.tokenizer`, or their names in the run folder, besides the stage's
        `STAGE_OUTPUTS`, which must be there.
        """
        sizes: dict[str, int] = {}
        for output in [*_OUTPUTS[stage], *outputs]:
            path = Path(output) if Path(output).is_relative_to(self.path) else self.path / output
            files = files_of(path)
            if not files:
                raise ArtifactError(f"stage {stage} ended without {path}; run it again")
            kept = [file for file in files if file.name != CARD_FILE]  # which may be edited
            sizes |= {file.relative_to(self.path).as_posix(): file.stat().st_size for file in kept}
        manifest = Manifest(stage, fingerprint, seconds + earlier_seconds, sizes)
        atomic_json(self._manifest_path(stage), dataclasses.asdict(manifest))
        return manifest

    def restore(self, manifest: Manifest) -> None:
        """Put back a manifest that was forgotten, if the files are still those that it lists."""
        if not self._damage(manifest):
            atomic_json(self._manifest_path(manifest.stage), dataclasses.asdict(manifest))

    def forget(self, stage: str) -> None:
        """Count the stage as not done; its files stay. Call it before they are overwritten."""
        self._manifest_path(stage).unlink(missing_ok=True)

    def require(self, stage: str, what_for: str) -> Manifest:
        """The manifest of a stage that must be done; otherwise `ArtifactError` with the command that makes its file."""
        remedy = f"make it with `genrec {stage} {self.path}`"
        missing = [name for name in _OUTPUTS[stage] if not files_of(self.path / name)]
        if missing:
            raise ArtifactError(f"{self.path / missing[0]} is missing, which {what_for} needs; {remedy}")
        manifest = self.manifest(stage)
        if manifest is None:
            raise ArtifactError(f"{self.path / _OUTPUTS[stage][0]} is not finished, which {what_for} needs; {remedy}")
        damage = self._damage(manifest)
        if damage:
            raise ArtifactError(f"{damage}; {what_for} needs it; {remedy}")
        return manifest

    def seconds(self) -> dict[str, float]:
        """Seconds of every finished stage, in the order of the stages."""
        manifests = [self.manifest(stage) for stage in STAGE_OUTPUTS]
        return {manifest.stage: manifest.seconds for manifest in manifests if manifest}

    def append_log(self, event: Mapping[str, Any], *, unix_s: float | None = None) -> None:
        """Add one line to `log.jsonl`: `time` (unix seconds; now if not given), then the event.

        Numbers that are not finite become text. A line that a killed process left torn is cut off first.
        """
        stamped = {"time": time.time() if unix_s is None else unix_s, **event}
        line = json.dumps(_loggable(stamped), allow_nan=False) + "\n"
        with self.log.open("a+b") as file:
            _cut_torn_line(file)
            file.write(line.encode())

    def _manifest_path(self, stage: str) -> Path:
        if stage not in _OUTPUTS:
            raise ValueError(f"stage must be one of {', '.join(_OUTPUTS)}, got {stage!r}")
        return self.stages / f"{stage}.json"

    def _damage(self, manifest: Manifest) -> str:
        """What is wrong with the first recorded file that is not as it was; empty if all are."""
        for name, size in manifest.outputs.items():
            path = self.path / name
            if not path.is_file():
                return f"{path} is missing"
            if path.stat().st_size != size:
                return f"{path} has {path.stat().st_size} bytes, {size} were written"
        return ""


def is_run_folder(path: str | os.PathLike[str]) -> bool:
    """True for a folder with `config.yaml` inside."""
    return (Path(path) / "config.yaml").is_file()


def _loggable(value: Any) -> Any:
    """`plain` values, with NaN and infinity as text."""
    if isinstance(value, Mapping):
        return {key: _loggable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_loggable(inner) for inner in value]
    scalar = plain(value)
    return str(scalar) if isinstance(scalar, float) and not math.isfinite(scalar) else scalar


def _cut_torn_line(file: BufferedRandom) -> None:
    """Cut off what follows the last line end, and go to the end."""
    end = file.seek(0, os.SEEK_END)
    kept = end
    while kept and file.seek(kept - 1) is not None and file.read(1) != b"\n":
        kept -= 1
    if kept < end:
        file.truncate(kept)
    file.seek(0, os.SEEK_END)
