"""The stages in order: read this first.

    prepare    interactions and items of the outside world -> checked tables, split     items.parquet, sequences.parquet
    embed      item texts -> vectors                                                    embeddings.npy
    tokenize   vectors -> semantic IDs                                                  tokenizer/, semantic_ids.npz
    index      semantic IDs -> prefix trie                                              trie/
    train      sequences of semantic IDs -> generator                                   generator/
    evaluate   generator, baselines -> figures                                          metrics.json

Each stage writes into the run folder and records a fingerprint of what it read. It is skipped while that fingerprint
stays the same, so a run that was stopped goes on where it was.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json, atomic_write, read_json
from genrec.config import ExperimentConfig, load_config, to_yaml
from genrec.data.embeddings import Embedded, embed_texts, item_texts
from genrec.data.preparation import prepare
from genrec.data.prepared import Prepared, read_prepared, write_prepared
from genrec.data.sources.files import data_files, data_folder
from genrec.data.vector_files import read_vectors
from genrec.data.world import make_world
from genrec.errors import InputError
from genrec.evaluation.stage import EvaluationInputs, evaluate_run
from genrec.fingerprints import file_fingerprint, fingerprint, plain
from genrec.progress import Progress, Silence
from genrec.recommendation.loading import load_prefix_trie, load_semantic_ids
from genrec.recommendation.recommender import Recommender, best_device
from genrec.tokenization import fit_semantic_ids, read_semantic_ids
from genrec.training.stage import TrainingInputs, TrainingPlan, make_accelerator, train_generator
from trie import PrefixTrie


class RunResult(NamedTuple):
    """Where a run lies, and its figures if it has been evaluated."""

    path: Path
    metrics: dict[str, Any] | None


@dataclass(frozen=True)
class Run:
    """What a stage is given."""

    config: ExperimentConfig
    folder: RunFolder
    data_dir: Path
    accelerator: Accelerator
    progress: Progress
    fingerprint: str
    """Of everything that this stage depends on."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes; the others take part in what is computed together."""
        return self.accelerator.is_main_process


@dataclass(frozen=True)
class Stage:
    """One arrow of the way of the data."""

    work: Callable[[Run], float | None]
    """Does it; the seconds it took, if it knows better than the clock."""
    reads: Callable[[ExperimentConfig, Path], Any]
    """What it depends on, the stages in `after` apart."""
    after: tuple[str, ...]
    writes: tuple[str, ...] = ()
    """Files and folders besides those in `artifacts.STAGE_OUTPUTS`."""
    together: bool = False
    """Whether all processes take part, not only the main one."""


def run_pipeline(
    config: ExperimentConfig | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    until: str = "evaluate",
    progress: Progress | None = None,
) -> RunResult:
    """Bring a run to the stage `until`, doing only what is not done yet; the command line calls this.

    Args:
        config: a config, a YAML file or the name of a built-in one. `overrides` such as "training.epochs=3" go on top.
        out: the run folder; by default `runs/<name of the config file>`.

    Raises:
        InputError: the config, the data or the run folder is not as it must be; nothing is left half written.
        TrainingError: the training cannot go on.
    """
    if until not in STAGES:
        raise ValueError(f"until must be one of {', '.join(STAGES)}, got {until!r}")
    loaded = config if isinstance(config, ExperimentConfig) else load_config(config, overrides)
    if isinstance(config, ExperimentConfig) and (overrides or out is None):
        raise ValueError("a config object takes no overrides, and needs a run folder in `out`")
    folder = RunFolder(out if out is not None else Path("runs") / Path(str(config)).stem)
    progress = progress or Silence()
    accelerator = make_accelerator(loaded.training, folder.path)
    with _held(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            atomic_write(folder.config, to_yaml(loaded).encode())
        accelerator.wait_for_everyone()
        for name in _needed(until, loaded):
            _bring(name, loaded, folder, accelerator, progress)
        accelerator.end_training()
    metrics = read_json(folder.metrics) if until == "evaluate" and accelerator.is_main_process else None
    return RunResult(folder.path, metrics)


@contextmanager
def _held(folder: RunFolder) -> Iterator[None]:
    """The run folder, locked; removed again if this call made it and bad input kept its first stage from ending."""
    existed = folder.path.exists()
    with folder.lock():
        try:
            yield
        except InputError:
            if not existed and not folder.seconds():
                shutil.rmtree(folder.path, ignore_errors=True)
            raise


def _bring(
    name: str, config: ExperimentConfig, folder: RunFolder, accelerator: Accelerator, progress: Progress
) -> None:
    """Do one stage unless it is done."""
    stage, data_dir = STAGES[name], data_folder()
    wanted, done = "", False
    if accelerator.is_main_process:
        upstream = [
            folder.require(before, f"stage {name}").fingerprint for before in stage.after if _used(before, config)
        ]
        wanted = fingerprint(name, stage.reads(config, data_dir), upstream)
        done = folder.is_done(name, wanted)
    wanted, done = broadcast_object_list([wanted, done])
    if done:
        progress.say(f"{name}: done before")
        return
    if accelerator.is_main_process:
        progress.say(f"{name} ...")
        folder.forget(name)
    started = time.monotonic()
    if stage.together or accelerator.is_main_process:
        seconds = stage.work(Run(config, folder, data_dir, accelerator, progress, wanted))
        seconds = time.monotonic() - started if seconds is None else seconds
        if accelerator.is_main_process:
            folder.record(name, wanted, outputs=stage.writes, seconds=seconds)
            folder.append_log({"event": "stage", "stage": name, "seconds": seconds})
            progress.say(f"{name}: {seconds:.1f} s")
    accelerator.wait_for_everyone()


def _prepare(run: Run) -> None:
    prepared = prepare(run.config.data, data_dir=run.data_dir, seed=run.config.seed)
    write_prepared(prepared, run.folder.path)
    interactions = prepared.interactions
    users, items = interactions.num_users, interactions.num_items
    run.progress.say(f"  {users} users, {items} items, {interactions.num_interactions} interactions")


def _embed(run: Run) -> None:
    catalogue, options = _prepared(run).catalogue, run.config.embeddings
    if options.file is not None:
        embedded = Embedded(read_vectors(run.data_dir / options.file, catalogue.item_ids), {"encoder": options.file})
    else:
        with run.progress.bar("embed") as bar:
            embedded = embed_texts(item_texts(catalogue, options), options, seed=run.config.seed, progress=bar)
    atomic_write(run.folder.embeddings, lambda path: np.save(path, embedded.vectors))
    atomic_json(run.folder.path / "embeddings.json", embedded.about)
    run.progress.say(f"  {embedded.vectors.shape[1]} dimensions by {embedded.about['encoder']}")


def _tokenize(run: Run) -> None:
    options, item_ids = run.config.tokenizer, _prepared(run).catalogue.item_ids
    if options.codes is not None:
        tokenized = read_semantic_ids(run.data_dir / options.codes, item_ids, options)
    else:
        embeddings = np.load(run.folder.embeddings, allow_pickle=False)
        with run.progress.bar("tokenize") as bar:
            tokenized = fit_semantic_ids(embeddings, item_ids, options, seed=run.config.seed, progress=bar)
    if run.is_main:
        if tokenized.fitted is not None:
            tokenized.fitted.save_pretrained(run.folder.tokenizer)
        tokenized.semantic_ids.save(run.folder.semantic_ids)
        atomic_json(run.folder.path / "semantic_ids.json", tokenized.health.as_dict())
        run.progress.say(f"  {tokenized.health.line()}")


def _index(run: Run) -> None:
    semantic_ids = load_semantic_ids(run.folder)
    prefix_trie = PrefixTrie.from_codes(semantic_ids.codes, level_sizes=semantic_ids.level_sizes)
    prefix_trie.save(run.folder.prefix_trie)
    run.progress.say(f"  {prefix_trie.num_rows} items, {prefix_trie.nbytes / prefix_trie.num_rows:.1f} bytes an item")


def _train(run: Run) -> float:
    config, prepared = run.config, _prepared(run)
    inputs = TrainingInputs(
        prepared.catalogue,
        prepared.interactions,
        prepared.splits,
        load_semantic_ids(run.folder),
        load_prefix_trie(run.folder),
    )
    return train_generator(
        run.folder,
        inputs,
        TrainingPlan(config.generator, config.training, config.recommendation, config.seed),
        accelerator=run.accelerator,
        fingerprint=run.fingerprint,
        progress=run.progress,
    )


def _evaluate(run: Run) -> float:
    started = time.monotonic()
    prepared, config = _prepared(run), run.config
    world = make_world(config.data.world, config.seed) if config.data.format == "world" else None
    recommender = Recommender.from_pretrained(run.folder.path, device=best_device())
    inputs = EvaluationInputs(prepared.catalogue, prepared.interactions, prepared.splits, world)
    figures = evaluate_run(recommender, inputs, config.evaluation, progress=run.progress)
    seconds = time.monotonic() - started
    atomic_json(run.folder.metrics, {**figures, "seconds": {**run.folder.seconds(), "evaluate": seconds}})
    return seconds


def _prepared(run: Run) -> Prepared:
    return read_prepared(run.folder.path)


def _data_files(config: ExperimentConfig, data_dir: Path) -> Any:
    files = [name for name in (config.data.interactions, config.data.items) if name is not None]
    parts = [part for name in files for part in data_files(data_dir / name)]
    choices = plain(config.data)
    if config.data.format != "world":
        del choices["world"]
    return choices, config.seed, [file_fingerprint(part) for part in parts]


def _vector_files(config: ExperimentConfig, data_dir: Path) -> Any:
    file = config.embeddings.file
    return config.embeddings, config.seed, None if file is None else file_fingerprint(data_dir / file)


def _tokenizer_files(config: ExperimentConfig, data_dir: Path) -> Any:
    options = config.tokenizer
    if options.codes is None:
        return options, config.seed
    return options.collisions, file_fingerprint(data_dir / options.codes)


def _training_choices(config: ExperimentConfig, data_dir: Path) -> Any:
    recommendation = config.recommendation
    validated_by = (recommendation.beam_size, recommendation.rank, recommendation.score, recommendation.blend_weight)
    return config.generator, config.training, validated_by, config.seed


STAGES: Mapping[str, Stage] = {
    "prepare": Stage(_prepare, _data_files, after=(), writes=("prepare.json",)),
    "embed": Stage(_embed, _vector_files, after=("prepare",), writes=("embeddings.json",)),
    "tokenize": Stage(
        _tokenize, _tokenizer_files, after=("prepare", "embed"), writes=("semantic_ids.json",), together=True
    ),
    "index": Stage(_index, lambda config, data_dir: None, after=("tokenize",)),
    "train": Stage(_train, _training_choices, after=("prepare", "index"), writes=("generator",), together=True),
    "evaluate": Stage(
        _evaluate, lambda config, data_dir: (config.evaluation, config.recommendation), after=("prepare", "train")
    ),
}
"""In order; what stands earlier is brought first."""


def _needed(until: str, config: ExperimentConfig) -> list[str]:
    names = list(STAGES)
    return [name for name in names[: names.index(until)] if _used(name, config)] + [until]


def _used(stage: str, config: ExperimentConfig) -> bool:
    """Ready-made codes need no embeddings."""
    return stage != "embed" or config.tokenizer.codes is None
