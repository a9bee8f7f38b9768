"""The stages in order: read this first.

    prepare    interactions and items of the outside world -> checked tables, split     items.parquet, sequences.parquet
    embed      item texts -> vectors                                                    embeddings.npy
    tokenize   vectors -> semantic IDs, their figures and names                         tokenizer/, semantic_ids.npz
    index      semantic IDs -> prefix trie                                              trie/
    train      sequences of semantic IDs -> generator                                   generator/
    evaluate   generator, baselines -> figures                                          metrics.json

    baseline   sequences -> one more trained model to measure it against                baselines/NAME/

Each stage writes into the run folder and records a fingerprint of what it read. It is skipped while that fingerprint
stays the same, so a run that was stopped goes on where it was.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_write, read_json, remove
from genrec.config import ExperimentConfig, load_config, to_yaml
from genrec.data.sequence_file import count_cases
from genrec.data.sources.files import data_folder
from genrec.earlier_run.run import check_same_choices, earlier_state
from genrec.errors import ArtifactError, ConfigError, DataError, InputError
from genrec.fingerprints import fingerprint
from genrec.progress import Progress, Silence
from genrec.run_card import complete_run_card
from genrec.stages import BASELINE_STAGES, STAGES, Run, Worked
from genrec.training.stage import make_accelerator

_ALL_STAGES = {**STAGES, **BASELINE_STAGES}


class RunResult(NamedTuple):
    """Where a run lies, and its figures if it has been evaluated; a baseline's own after its training."""

    path: Path
    metrics: dict[str, Any] | None


def run_pipeline(
    config: ExperimentConfig | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    until: str = "evaluate",
    progress: Progress | None = None,
) -> RunResult:
    """Bring a run to the stage `until`, or train the baseline of that name, doing only what is not done yet.

    The command line calls this.

    Args:
        config: a config, a YAML file or the name of a built-in one. `overrides` such as "training.epochs=3" go on top.
        out: the run folder; by default `runs/<name of the config file>`.

    Raises:
        InputError: the config, the data or the run folder is not as it must be; nothing is left half written.
        TrainingError: the training cannot go on.
    """
    if until not in _ALL_STAGES:
        raise ValueError(f"until must be one of {', '.join(_ALL_STAGES)}, got {until!r}")
    loaded = config if isinstance(config, ExperimentConfig) else load_config(config, overrides)
    if isinstance(config, ExperimentConfig) and (overrides or out is None):
        raise ValueError("a config object takes no overrides, and needs a run folder in `out`")
    folder = RunFolder(out if out is not None else Path("runs") / Path(str(config)).stem)
    progress = progress or Silence()
    if loaded.earlier_run is not None:
        loaded = replace(loaded, earlier_run=str(Path(loaded.earlier_run).absolute()))
        _check_earlier_run(loaded, folder)
    trained = loaded.baselines.named(until).training if until in BASELINE_STAGES else loaded.training
    accelerator = make_accelerator(trained, folder.path)
    with _held(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            atomic_write(folder.config, to_yaml(loaded).encode())
        accelerator.wait_for_everyone()
        for name in _needed(until, loaded):
            _bring(name, loaded, folder, accelerator, progress)
            if name == "prepare" and accelerator.is_main_process:
                _check_cases(folder, until)
        if until == "evaluate" and accelerator.is_main_process:
            complete_run_card(folder)
        accelerator.end_training()
    files = {"evaluate": folder.metrics, **{name: folder.of_baseline(name).metrics for name in BASELINE_STAGES}}
    has_figures = until in files and accelerator.is_main_process
    return RunResult(folder.path, read_json(files[until]) if has_figures else None)


def _check_earlier_run(config: ExperimentConfig, folder: RunFolder) -> None:
    """`ConfigError` unless the run can go on from the earlier one; one that is gone is missed where it is needed."""
    earlier = Path(str(config.earlier_run))
    if earlier.resolve() == folder.path.resolve():
        raise ConfigError(f"earlier_run is {folder.path}, the run itself; choose another folder with --out")
    if earlier.exists():
        sections = {name: getattr(config, name) for name in ("data", "embeddings", "tokenizer", "generator")}
        check_same_choices(str(earlier), **sections)


@contextmanager
def _held(folder: RunFolder) -> Iterator[None]:
    """The run folder, locked. Where bad input keeps the first stage from ending, it is left as it was found."""
    existed = folder.path.exists()
    with folder.lock():
        config = folder.config.read_bytes() if folder.config.exists() else None
        done = [folder.manifest(name) for name in _ALL_STAGES]
        try:
            yield
        except InputError:
            if not existed and not folder.seconds():
                shutil.rmtree(folder.path, ignore_errors=True)
            elif config is not None and [folder.manifest(name) for name in _ALL_STAGES] == done:
                atomic_write(folder.config, config)  # the run stays what it was
            raise


def _bring(
    name: str, config: ExperimentConfig, folder: RunFolder, accelerator: Accelerator, progress: Progress
) -> None:
    """Do one stage unless it is done."""
    stage, data_dir = _ALL_STAGES[name], data_folder()
    wanted, unfinished, done, beside = "", "", False, {}
    if accelerator.is_main_process:
        beside = {other: found for other in stage.beside if (found := _if_done(other, config, folder)) is not None}
        wanted = _wanted(name, config, folder, beside=[*beside.values()])
        done = folder.is_done(name, wanted)
        for other in stage.beside:
            if other not in beside and folder.of_baseline(other).metrics.exists():
                progress.say(f"{other}: left out, it is of other data or options; `genrec baseline {other}` renews it")
        # the data's fingerprint takes its time: only a stage with limits has another one for its scratch
        unfinished = _wanted(name, config, folder, reads=stage.reads_unfinished) if stage.reads_unfinished else wanted
    wanted, unfinished, done = broadcast_object_list([wanted, unfinished, done])
    if done:
        progress.say(f"{name}: done before")
        return
    run = Run(config, folder, data_dir, accelerator, progress, wanted, unfinished, tuple(beside))
    if accelerator.is_main_process:
        progress.say(f"{name} ...")
        _do(name, run)
    elif stage.together:
        stage.work(run)
    accelerator.wait_for_everyone()


def _wanted(
    name: str,
    config: ExperimentConfig,
    folder: RunFolder,
    *,
    beside: Sequence[str] = (),
    reads: Callable[[ExperimentConfig, Path], Any] | None = None,
) -> str:
    """The fingerprint of all that a stage depends on; `ArtifactError` if what comes before it is not done."""
    stage = _ALL_STAGES[name]
    upstream = [
        folder.require(before, f"stage {name}").fingerprint for before in stage.after if _used(before, name, config)
    ]
    if stage.goes_on and config.earlier_run is not None:
        upstream.append(earlier_state(folder, config.earlier_run, name))
    return fingerprint(name, (reads or stage.reads)(config, data_folder()), [*upstream, *beside])


def _if_done(name: str, config: ExperimentConfig, folder: RunFolder) -> str | None:
    """The fingerprint of a stage that is done with today's inputs; None otherwise."""
    try:
        wanted = _wanted(name, config, folder)
    except ArtifactError:  # nor is what comes before it
        return None
    return wanted if folder.is_done(name, wanted) else None


def _do(name: str, run: Run) -> None:
    """Do one stage and record it."""
    stage, folder, before = _ALL_STAGES[name], run.folder, run.folder.manifest(name)
    folder.forget(name)
    started = time.monotonic()
    try:
        worked = stage.work(run) or Worked(time.monotonic() - started)
    except InputError:
        if before is not None:
            folder.restore(before)
        raise
    written = [output for output in stage.writes if (folder.path / output).exists()]
    folder.record(name, run.fingerprint, outputs=written, seconds=worked.seconds)
    folder.append_log({"event": "stage", "stage": name, "seconds": worked.seconds})
    run.progress.say(f"{name}: {worked.seconds:.1f} s")
    for scratch in () if worked.goes_on else stage.scratch:
        remove(folder.path / scratch)


def _check_cases(folder: RunFolder, until: str) -> None:
    """`DataError` now rather than after hours of training, if a later stage would find nothing to measure by."""
    found = count_cases(folder.sequences)
    trains = until in BASELINE_STAGES
    for stage, part, count in (("train", "validation", found.validation), ("evaluate", "test", found.test)):
        is_needed = trains or stage == until or stage in _before(until)
        if is_needed and not count:
            raise DataError(
                f"no user has a {part} item with a history before it, which stage {stage} needs; leave-one-out takes "
                "users with three interactions, global_time interactions in each part (data.validation_from_unix_s, "
                "data.test_from_unix_s)"
            )


def _needed(until: str, config: ExperimentConfig) -> list[str]:
    return [name for name in STAGES if name in _before(until) and _used(name, until, config)] + [until]


def _before(until: str) -> set[str]:
    """The stages that must be done before one."""
    after = _ALL_STAGES[until].after
    return {*after, *(name for stage in after for name in _before(stage))}


def _used(stage: str, by: str, config: ExperimentConfig) -> bool:
    """Ready-made codes need no embeddings, nor does the order of appearance, nor what comes after these."""
    return stage != "embed" or config.tokenizer.reads_content or _ALL_STAGES[by].needs_content
