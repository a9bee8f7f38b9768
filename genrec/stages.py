"""What each stage reads, does and writes; `genrec.pipeline` brings them in order."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator
from jaxtyping import Float32
from numpy import ndarray

from genrec.additions.stored import discard_stale_additions
from genrec.artifacts import BASELINE_OUTPUTS, RunFolder
from genrec.atomic_files import atomic_json, read_json, remove
from genrec.baselines.trained import CodedItems
from genrec.baselines.training import BaselineInputs, train_baseline
from genrec.config import ExperimentConfig
from genrec.data.catalogue import Catalogue
from genrec.data.collaborative import training_sequences
from genrec.data.embeddings import item_texts, load_encoder
from genrec.data.preparation import prepare
from genrec.data.prepared import Prepared, read_catalogue, read_prepared, write_prepared
from genrec.data.sequence_file import SequenceFile
from genrec.data.vector_files import open_vectors, read_vectors, write_vectors
from genrec.data.world import make_world
from genrec.earlier_run.embedding import check_same_encoder, embed_newer, keep_encoder_fit
from genrec.earlier_run.run import EarlierRun
from genrec.earlier_run.tokenization import tokenize_newer
from genrec.evaluation.case_figures import CASE_FILE
from genrec.evaluation.stage import EvaluationInputs, evaluate_run
from genrec.fingerprints import plain
from genrec.progress import Progress
from genrec.recommendation.recommender import Recommender, best_device
from genrec.run_card import write_run_card
from genrec.stage_inputs import (
    baseline_choices,
    data_inputs,
    embedding_inputs,
    evaluation_choices,
    tokenizer_inputs,
    training_choices,
)
from genrec.stored_ids import load_prefix_trie, load_semantic_ids
from genrec.tokenization.report import CODEBOOK_FIGURE, MAP_FIGURE, as_json, health_of, names_of, write_figures
from genrec.tokenization.semantic_ids import KnownItems, Tokenized, fit_semantic_ids, read_semantic_ids
from genrec.training.stage import TrainingInputs, TrainingPlan, train_generator
from trie import PrefixTrie


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
    unfinished: str
    """The same for what it leaves when it is stopped, which it may go on with under other limits."""
    beside: tuple[str, ...] = ()
    """Those of the stages named so that are done."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes; the others take part in what is computed together."""
        return self.accelerator.is_main_process


class Worked(NamedTuple):
    """How a stage's work went, where it knows better than the clock."""

    seconds: float
    """Those before an interruption included."""
    goes_on: bool = False
    """Whether a limit broke it off, so that it goes on from its scratch if it is given more."""


@dataclass(frozen=True)
class Stage:
    """One arrow of the way of the data."""

    work: Callable[[Run], Worked | None]
    """Does it."""
    reads: Callable[[ExperimentConfig, Path], Any]
    """What it depends on, the stages in `after` apart."""
    after: tuple[str, ...]
    reads_unfinished: Callable[[ExperimentConfig, Path], Any] | None = None
    """What its scratch depends on; None: on the same."""
    beside: tuple[str, ...] = ()
    """What it takes up where that is done, and does without where it is not."""
    writes: tuple[str, ...] = ()
    """Files and folders besides those in `artifacts.STAGE_OUTPUTS`."""
    scratch: tuple[str, ...] = ()
    """What is needed no longer once the stage is recorded."""
    goes_on: bool = False
    """Whether it takes up what the same stage of an earlier run left, where there is one."""
    needs_content: bool = False
    """Whether it needs embeddings even where the tokenizer does not."""
    together: bool = False
    """Whether all processes take part, not only the main one."""


def _prepare(run: Run) -> None:
    prepared = prepare(run.config.data, data_dir=run.data_dir, seed=run.config.seed)
    write_prepared(prepared, run.folder.path)
    interactions = prepared.interactions
    users, items = interactions.num_users, interactions.num_items
    run.progress.say(f"  {users} users, {items} items, {interactions.num_interactions} interactions")


def _embed(run: Run) -> None:
    catalogue, options = _prepared(run).catalogue, run.config.embeddings
    remove(run.folder.encoder_fit)
    with run.progress.bar("embed") as bar:
        if options.file is not None:
            vectors = read_vectors(run.data_dir / options.file, catalogue.item_ids)
            if run.config.earlier_run is not None:
                check_same_encoder(EarlierRun.read(run.config.earlier_run), catalogue, vectors, options.file)
            parts = iter([vectors])
            about = {"encoder": options.file}
        elif run.config.earlier_run is not None:
            earlier = EarlierRun.read(run.config.earlier_run)
            parts, about = embed_newer(earlier, catalogue, options, bar=bar)
            if about["encoder"] == "tfidf":
                keep_encoder_fit(earlier, run.folder)
        else:
            texts = item_texts(catalogue, options)
            encoder = load_encoder(options, seed=run.config.seed, fitted_on=texts)
            parts, about = encoder.parts(texts, bar), encoder.about
        width = write_vectors(run.folder.embeddings, parts, count=len(catalogue))
    atomic_json(run.folder.path / "embeddings.json", about)
    run.progress.say(f"  {width} dimensions by {about['encoder']}")


def _tokenize(run: Run) -> None:
    options, prepared = run.config.tokenizer, _prepared(run)
    item_ids, scratch = prepared.catalogue.item_ids, run.folder.path
    codes = None if options.codes is None else run.data_dir / options.codes
    content = _content(run) if options.reads_content else None
    if run.config.earlier_run is not None:
        earlier = EarlierRun.read(run.config.earlier_run)
        newer = tokenize_newer(earlier, item_ids, content, options, codes=codes, scratch=scratch)
        tokenized = newer.tokenized
        run.progress.say(f"  {len(item_ids) - newer.num_new} items keep their IDs, {newer.num_new} are new")
        if newer.drift is not None:
            run.progress.say(newer.drift.table())
    elif codes is not None:
        tokenized = read_semantic_ids(codes, item_ids, options)
    else:
        items = KnownItems(item_ids, content, training_sequences(prepared.interactions, prepared.splits))
        with run.progress.bar("tokenize") as bar:
            tokenized = fit_semantic_ids(items, options, seed=run.config.seed, scratch=scratch, progress=bar)
    if run.is_main:
        _write_tokenized(run, tokenized, prepared.catalogue)


def _write_tokenized(run: Run, tokenized: Tokenized, catalogue: Catalogue) -> None:
    folder, say = run.folder, run.progress.say
    remove(folder.tokenizer)
    if tokenized.fitted is not None:
        tokenized.fitted.save(folder.tokenizer)
    tokenized.semantic_ids.save(folder.semantic_ids)
    checked, names = health_of(tokenized, catalogue), names_of(tokenized, catalogue)
    atomic_json(folder.path / "semantic_ids.json", {"made_by": plain(tokenized.made_by.used()), **checked.as_dict()})
    atomic_json(folder.code_names, as_json(names))
    say(checked.table())
    for name in (CODEBOOK_FIGURE, MAP_FIGURE):
        remove(folder.report / name)  # of other codes
    try:
        figures = write_figures(tokenized, names, folder.report)
        say(f"  figures: {', '.join(map(str, figures))}")
    except ImportError:
        say('  no figures: matplotlib is not installed (pip install "genrec[plots]")')
    if discard_stale_additions(folder, tokenized.semantic_ids):
        say(f"  removed {folder.additions}: its items were added to other semantic IDs; add them again")


def _index(run: Run) -> None:
    semantic_ids = load_semantic_ids(run.folder)
    prefix_trie = PrefixTrie.from_codes(semantic_ids.codes, level_sizes=semantic_ids.level_sizes)
    prefix_trie.save(run.folder.prefix_trie)
    report = prefix_trie.report()
    run.progress.say(f"  {report.num_rows} items, {report.bytes_per_item:.1f} bytes an item")
    run.progress.say(report.table())


def _train(run: Run) -> Worked:
    config, catalogue = run.config, read_catalogue(run.folder.path)
    inputs = TrainingInputs(
        catalogue,
        SequenceFile(run.folder.sequences, catalogue.item_ids),
        load_semantic_ids(run.folder),
        load_prefix_trie(run.folder),
        _content(run) if config.tokenizer.reads_content else None,
        None if config.earlier_run is None else EarlierRun.read(config.earlier_run),
    )
    state = train_generator(
        run.folder,
        inputs,
        TrainingPlan(config.generator, config.training, config.recommendation, config.seed),
        accelerator=run.accelerator,
        fingerprint=run.unfinished,
        progress=run.progress,
    )
    if run.is_main:
        write_run_card(run.folder, is_evaluated=False)
    return Worked(state.seconds, goes_on=state.ended_by == "time")


def _evaluate(run: Run) -> Worked:
    started = time.monotonic()
    prepared, config = _prepared(run), run.config
    world = make_world(config.data.world, config.seed) if config.data.format == "world" else None
    recommender = Recommender.from_pretrained(run.folder.path, device=best_device(), with_additions=False)
    inputs = EvaluationInputs(prepared.catalogue, prepared.interactions, prepared.splits, world)
    figures, of_cases = evaluate_run(recommender, inputs, config.evaluation, progress=run.progress)
    for name in run.beside:
        trained = read_json(run.folder.of_baseline(name).metrics)
        figures["baselines"][name] = {part: trained[part] for part in ("test", "test_history_filtered")}
    of_cases.write(run.folder.path)
    for alarm in figures["diagnostics"]["alarms"]:
        run.progress.say(f"  warning: {alarm}")
        run.folder.append_log({"event": "alarm", "text": alarm})
    seconds = time.monotonic() - started
    atomic_json(run.folder.metrics, {**figures, "seconds": {**run.folder.seconds(), "evaluate": seconds}})
    write_run_card(run.folder, is_evaluated=True)
    return Worked(seconds)


def _baseline(name: str, run: Run) -> Worked:
    prepared, after = _prepared(run), BASELINE_STAGES[name].after
    coded = CodedItems(load_semantic_ids(run.folder), load_prefix_trie(run.folder)) if "index" in after else None
    state = train_baseline(
        run.folder.of_baseline(name),
        run.config.baselines.named(name),
        BaselineInputs(
            prepared.interactions,
            prepared.splits,
            coded,
            _content(run) if BASELINE_STAGES[name].needs_content else None,
        ),
        seed=run.config.seed,
        accelerator=run.accelerator,
        fingerprint=run.unfinished,
        progress=run.progress,
    )
    return Worked(state.seconds, goes_on=state.ended_by == "time")


def _prepared(run: Run) -> Prepared:
    return read_prepared(run.folder.path)


def _content(run: Run) -> Float32[ndarray, "items content_dim"]:
    return open_vectors(run.folder.embeddings)


_BASELINE_AFTER = {"tiger": ("prepare", "index"), "sasrec_content": ("prepare", "embed")}


def _baseline_stage(name: str) -> Stage:
    return Stage(
        partial(_baseline, name),
        partial(baseline_choices, name),
        reads_unfinished=partial(baseline_choices, name, without_limits=True),
        after=_BASELINE_AFTER.get(name, ("prepare",)),
        needs_content="embed" in _BASELINE_AFTER.get(name, ()),
        scratch=(f"baselines/{name}/checkpoints",),
        together=True,
    )


STAGES: Mapping[str, Stage] = {
    "prepare": Stage(_prepare, data_inputs, after=(), writes=("prepare.json",)),
    "embed": Stage(_embed, embedding_inputs, after=("prepare",), writes=("embeddings.json",), goes_on=True),
    "tokenize": Stage(
        _tokenize,
        tokenizer_inputs,
        after=("prepare", "embed"),
        writes=("semantic_ids.json", "code_names.json", "tokenizer"),
        goes_on=True,
        together=True,
    ),
    "index": Stage(_index, lambda config, data_dir: None, after=("tokenize",)),
    "train": Stage(
        _train,
        training_choices,
        reads_unfinished=partial(training_choices, without_limits=True),
        after=("prepare", "embed", "index"),
        writes=("generator",),
        goes_on=True,
        scratch=("checkpoints",),
        together=True,
    ),
    "evaluate": Stage(
        _evaluate,
        evaluation_choices,
        after=("prepare", "train"),
        writes=(CASE_FILE,),
        beside=tuple(BASELINE_OUTPUTS),
    ),
}
"""In order; what stands earlier is brought first."""

BASELINE_STAGES: Mapping[str, Stage] = {name: _baseline_stage(name) for name in BASELINE_OUTPUTS}
"""One for each baseline that is trained; the pipeline goes without."""
