"""Train one baseline, choose its epoch on validation, measure it in the evaluator of all methods, and write it down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Int
from numpy import ndarray
from torch import nn

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json, atomic_write
from genrec.baselines.trained import CodedItems, Content, ScoringModel, TrainedBaseline
from genrec.data.epochs import HeldWindows, require_windows
from genrec.data.interactions import Interactions
from genrec.data.splits import Cases, Splits, sampled_numbers, test_cases, validation_cases
from genrec.evaluation.case_figures import PROTOCOLS, CaseFigures
from genrec.evaluation.evaluate import turns_of
from genrec.evaluation.metrics import Places, expected_metrics_at
from genrec.evaluation.scorers import scorer_metrics, scorer_places, unfiltered_places
from genrec.progress import Progress
from genrec.training.checkpoint import CheckpointFolder, TrainingState, save_tensors
from genrec.training.loop_config import LoopConfig
from genrec.training.trainer import Trainer
from genrec.training.watcher import RunWatcher

MODEL_FILE = "model.safetensors"
_CASES_PER_TURN = 256


@dataclass(frozen=True)
class BaselineInputs:
    """What the stages before left."""

    interactions: Interactions
    splits: Splits
    coded: CodedItems | None
    """None for baselines that know nothing of codes."""
    content: Content | None = None
    """None for baselines that know nothing of the items' content."""


def train_baseline(
    folder: RunFolder,
    baseline: TrainedBaseline,
    inputs: BaselineInputs,
    *,
    seed: int,
    accelerator: Accelerator,
    fingerprint: str,
    progress: Progress,
) -> TrainingState:
    """Train, save and measure into `folder`; how the training ended.

    It leaves `model.safetensors`, `metrics.json`, `case_ranks.npz` (see `genrec.evaluation.case_figures`) and
    `log.jsonl` with the validation curve.

    Raises:
        DataError: there is nothing to learn from.
        TrainingError: the training cannot go on.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    data = _training_data(baseline, inputs)
    torch.manual_seed(seed)
    model = baseline.build(inputs.interactions.num_items, inputs.coded, inputs.content)
    checkpoints = CheckpointFolder(
        folder.path / "checkpoints", fingerprint=fingerprint, writes=accelerator.is_main_process
    )
    if baseline.training.tracker:
        accelerator.init_trackers(folder.path.name)
    with progress.bar(f"train {folder.path.name}") as bar:
        watcher = RunWatcher(folder, accelerator, progress, bar)
        trainer = Trainer(
            baseline.training,
            baseline.objective(),
            accelerator=accelerator,
            checkpoints=checkpoints,
            watcher=watcher,
            seed=seed,
        )
        cases = _validation(baseline, inputs, seed)
        state = trainer.train(model, data, validate=partial(_validate, accelerator, inputs.interactions, cases))
    if accelerator.is_main_process:
        atomic_write(folder.path / MODEL_FILE, lambda path: save_tensors(model.state_dict(), path))
        figures, of_cases = _measured(model, inputs, folder.path.name, progress)
        of_cases.write(folder.path)
        atomic_json(folder.metrics, {**figures, **_about(model, state, baseline.training, accelerator)})
        folder.append_log({"event": "trained to the end", "step": state.step, "ended_by": state.ended_by})
    return state


def _training_data(baseline: TrainedBaseline, inputs: BaselineInputs) -> HeldWindows:
    data = HeldWindows(inputs.interactions.items, baseline.windows(inputs.interactions, inputs.splits))
    require_windows(data)
    return data


def _validation(baseline: TrainedBaseline, inputs: BaselineInputs, seed: int) -> Cases:
    """The cases that choose the epoch."""
    cases = validation_cases(inputs.interactions, inputs.splits)
    return cases.at(sampled_numbers(len(cases.ends), at_most=baseline.training.validation_users, seed=seed))


def _validate(
    accelerator: Accelerator,
    interactions: Interactions,
    cases: Cases,
    model: nn.Module,
    between: Callable[[], None],
) -> Mapping[str, float]:
    """Metrics without the history filter; every process scores a share of the cases, and each is counted once."""
    assert isinstance(model, ScoringModel)
    turns = turns_of(accelerator, interactions, cases, batch_size=_CASES_PER_TURN, between=between)
    mine = [unfiltered_places(model, interactions, turn) for turn in turns]
    best, worst = (np.concatenate(parts) for parts in zip(*gather_object(mine), strict=True))
    return expected_metrics_at(Places(best, worst), (10,))


def _measured(
    model: nn.Module, inputs: BaselineInputs, name: str, progress: Progress
) -> tuple[dict[str, Any], CaseFigures]:
    """Validation and test by both protocols, over all cases; and the places of the test's."""
    assert isinstance(model, ScoringModel)
    model.eval()
    interactions, tested = inputs.interactions, test_cases(inputs.interactions, inputs.splits)
    figures: dict[str, Any] = {}
    places: dict[str, dict[str, Places]] = {}
    for part, cases in (("validation", validation_cases(interactions, inputs.splits)), ("test", tested)):
        order = _by_length(interactions, cases)
        with progress.bar(f"evaluate {part}") as bar:
            found = scorer_places(model, interactions, cases.at(order), progress=bar)
        for protocol, by_length in zip((part, f"{part}_history_filtered"), found, strict=True):
            figures[protocol] = scorer_metrics(by_length)
            back = np.argsort(order)
            places[protocol] = {name: Places(by_length.best[back], by_length.worst[back])}
    tested_places = {protocol: places[protocol] for protocol in PROTOCOLS}
    return figures, CaseFigures.of(interactions, tested, tested_places)


def _about(model: nn.Module, state: TrainingState, training: LoopConfig, accelerator: Accelerator) -> dict[str, Any]:
    """What the figures cost.

    `converged`: the training ended later than its best validation, neither for want of time nor, by patience, while its
    learning rate was still high.
    """
    annealed = state.ended_by == "epochs" or training.optimizer.final_share == 1
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": state.seconds,
        "cpu_seconds": state.cpu_seconds,
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "epochs": state.epoch,
        "steps": state.step,
        "best_step": state.best_step,
        "ended_by": state.ended_by,
        "converged": annealed and state.ended_by != "time" and state.validations_since_best > 0,
    }


def _by_length(interactions: Interactions, cases: Cases) -> Int[ndarray, " cases"]:
    """The order in which histories of similar lengths come together, so that a batch has little padding."""
    return np.argsort(cases.ends - interactions.offsets[cases.users], kind="stable")
