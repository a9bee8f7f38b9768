"""The training stage: prepared data, semantic IDs and trie in; a generator that has seen its best epoch out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, gather_object
from jaxtyping import Float32, Float64
from numpy import ndarray

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, atomic_json
from genrec.data.batches import prefix_windows, sequence_windows
from genrec.data.catalogue import Catalogue
from genrec.data.epochs import require_windows
from genrec.data.interactions import Interactions
from genrec.data.sequence_file import SequenceFile, StoredWindows, ValidationSample
from genrec.data.splits import Cases
from genrec.earlier_run.run import EarlierRun
from genrec.earlier_run.weights import start_from
from genrec.evaluation.blend_weights import BLEND_WEIGHTS, BlendChoice, best_weight, ranks_by_weight
from genrec.evaluation.evaluate import turns_of
from genrec.evaluation.metrics import metrics_at
from genrec.generator.config import GeneratorConfig, GeneratorOptions
from genrec.generator.losses import LossConfig
from genrec.generator.model import Generator
from genrec.generator.prefixes import Prefixes
from genrec.manifests import write_manifest
from genrec.progress import Progress
from genrec.recommendation.loading import RANKING_FILE
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from genrec.training.checkpoint import CheckpointFolder, TrainingState
from genrec.training.content_start import content_start
from genrec.training.generator_objective import GeneratorObjective
from genrec.training.loop_config import LoopConfig, TrainingConfig
from genrec.training.trainer import Trainer
from genrec.training.watcher import RunWatcher
from tokenizer import SemanticIDs
from trie import PrefixTrie

_LONGEST_WAIT = timedelta(hours=12)  # other processes wait at a barrier while the main one embeds and tokenizes


class TrainingInputs(NamedTuple):
    """What the stages before left."""

    catalogue: Catalogue
    sequences: SequenceFile
    semantic_ids: SemanticIDs
    prefix_trie: PrefixTrie
    content: Float32[ndarray, "items content_dim"] | None
    """None where the semantic IDs were made without."""
    earlier: EarlierRun | None = None
    """The run whose weights the training begins with; None: at random, items' vectors at their content."""


class TrainingPlan(NamedTuple):
    """What is to be trained, and how."""

    generator: GeneratorOptions
    training: TrainingConfig
    recommendation: RecommendationConfig
    seed: int


def make_accelerator(training: LoopConfig, folder: Path) -> Accelerator:
    """Accelerate as the launch command and the config say; without a launcher: one process."""
    wanted = "no" if training.mixed_precision == "fp32" else training.mixed_precision
    if is_initialized() and AcceleratorState().mixed_precision != wanted:
        AcceleratorState._reset_state()  # an earlier run of this program chose another precision
    return Accelerator(
        cpu=not torch.accelerator.is_available(),  # otherwise accelerate takes torchrun's CPU processes for one each
        mixed_precision=wanted,
        log_with=training.tracker,
        project_dir=str(folder / "tracking"),
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=_LONGEST_WAIT),
            DistributedDataParallelKwargs(broadcast_buffers=False),  # they are the items' codes, which never change
        ],
    )


def train_generator(
    run: RunFolder,
    inputs: TrainingInputs,
    plan: TrainingPlan,
    *,
    accelerator: Accelerator,
    fingerprint: str,
    progress: Progress,
) -> TrainingState:
    """Train and save the generator into the run; how the training ended."""
    data = training_data(inputs.sequences, plan.generator)
    validation = inputs.sequences.validation_sample(at_most=plan.training.validation_users, seed=plan.seed)
    torch.manual_seed(plan.seed)
    generator = new_generator(inputs.semantic_ids, plan.generator)
    if inputs.earlier is not None:
        start_from(generator, inputs.earlier, inputs.catalogue.item_ids)
    elif plan.training.content_start and inputs.content is not None:
        scale, width = plan.training.content_start, plan.generator.width
        generator.embedding.start_at(content_start(inputs.content, scale=scale, width=width))
    freeze_unused(generator, plan.training.loss)
    # the objective looks codes up in it, also where accelerate moves only a sharded copy of the model
    generator.vocabulary.to(accelerator.device)
    checkpoints = CheckpointFolder(
        run.path / "checkpoints", fingerprint=fingerprint, writes=accelerator.is_main_process
    )
    if plan.training.tracker:
        accelerator.init_trackers(run.path.name)
    with progress.bar("train") as bar:
        watcher = RunWatcher(run, accelerator, progress, bar)
        prefixes = Prefixes(inputs.prefix_trie, accelerator.device)
        shares = None
        if plan.training.loss.item_negatives is not None:
            shares = torch.from_numpy(data.target_shares(len(inputs.catalogue))).to(accelerator.device)
        objective = GeneratorObjective(plan.training.loss, generator.vocabulary, prefixes, shares)
        trainer = Trainer(
            plan.training, objective, accelerator=accelerator, checkpoints=checkpoints, watcher=watcher, seed=plan.seed
        )
        state = trainer.train(generator, data, validate=partial(_validate, accelerator, inputs, plan, validation))
    if accelerator.is_main_process:
        choice = best_weight(_ranker(generator, inputs, plan)(*validation))
        atomic_folder(run.generator, partial(_write_generator, generator, choice))
        run.append_log({"event": "trained to the end", "step": state.step, "best_step": state.best_step})
    return state


def _write_generator(generator: Generator, choice: BlendChoice, folder: Path) -> None:
    generator.save_pretrained(folder)
    atomic_json(folder / RANKING_FILE, {"blend_weight": choice.weight, "validation_ndcg@10": choice.ndcg})
    write_manifest(folder)


def new_generator(semantic_ids: SemanticIDs, options: GeneratorOptions) -> Generator:
    """An untrained generator for these semantic IDs; the caller seeds torch."""
    config = GeneratorConfig.from_options(
        options,
        level_sizes=semantic_ids.level_sizes,
        num_items=len(semantic_ids),
        fingerprint=semantic_ids.fingerprint,
    )
    generator = Generator(config)
    generator.vocabulary.set_codes(torch.from_numpy(semantic_ids.codes))
    return generator


def freeze_unused(generator: Generator, loss: LossConfig) -> None:
    """Leave out of the training what no loss reaches: several processes wait for the gradients of all the rest."""
    if loss.item_weight == 0 and generator.repeat_bias is not None:
        generator.repeat_bias.requires_grad_(False)


def training_data(sequences: SequenceFile, options: GeneratorOptions) -> StoredWindows:
    """The windows that the chosen encoder trains on; `DataError` if there is nothing to learn from."""
    make = sequence_windows if options.encoder == "causal_items" else prefix_windows
    data = StoredWindows(sequences, partial(make, max_items=options.max_items))
    require_windows(data)
    return data


def _validate(
    accelerator: Accelerator,
    inputs: TrainingInputs,
    plan: TrainingPlan,
    validation: ValidationSample,
    generator: Generator,
    between: Callable[[], None],
) -> Mapping[str, float]:
    """Metrics of the run's default reading on (a sample of) the validation cases, each counted once.

    A blend has the weight that is best at this moment, unless the config sets one.
    """
    rank = _ranker(generator, inputs, plan)
    turns = turns_of(accelerator, *validation, batch_size=plan.recommendation.batch_size, between=between)
    ranks = np.concatenate(gather_object([rank(validation.interactions, cases) for cases in turns]), axis=1)
    by_weight = dict(zip(BLEND_WEIGHTS, (metrics_at(row, (10,)) for row in ranks), strict=True))
    weight = _weight_of(best_weight(ranks), plan)
    codes = {f"codes_{name}": value for name, value in by_weight[0.0].items()}
    return {**by_weight[weight], **codes, "blend_weight": weight}


def _ranker(
    generator: Generator, inputs: TrainingInputs, plan: TrainingPlan
) -> Callable[[Interactions, Cases], Float64[ndarray, "weights cases"]]:
    # whole beams without a cap: what lists are made like later is no reason to train again
    config = replace(plan.recommendation, beam_mass=1.0, max_per_prefix=None)
    recommender = Recommender.of(generator, inputs.prefix_trie, inputs.catalogue, config)
    return partial(ranks_by_weight, recommender, beam_size=config.beam_size)


def _weight_of(choice: BlendChoice, plan: TrainingPlan) -> float:
    """The weight that the training is judged by: of those that are measured, the nearest to the one that is wanted."""
    if plan.recommendation.rank == "codes" or plan.training.loss.item_weight == 0:
        return 0.0
    wanted = plan.recommendation.blend_weight
    return choice.weight if wanted is None else min(BLEND_WEIGHTS, key=lambda weight: abs(weight - wanted))
