"""The training loop. The order of batches, the learning rate and the dropout are functions of (seed, step)."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int
from numpy import ndarray
from torch import nn
from torch.optim import Optimizer

from genrec.data.batches import Batch, Windows, epoch_order, num_batches, window_batch
from genrec.errors import TrainingError
from genrec.generator.losses import LossConfig
from genrec.training.checkpoint import CheckpointFolder, TrainingState
from genrec.training.objective import AdaptiveObjective, Losses, Objective
from genrec.training.optimizer import OptimizerConfig, learning_rate, make_optimizer

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class LoopConfig:
    """How long and how the loop trains a model, whatever it is."""

    epochs: int = 50
    batch_size: int = 128
    """Windows per optimiser step, all processes together."""
    gradient_accumulation: int = 1
    """Parts that a batch is computed in, to save memory; the update is the same."""
    mixed_precision: Literal["fp32", "bf16"] = "fp32"
    validate_every_epochs: int = 5
    patience: int = 4
    """Validations without a better NDCG@10 before the training stops early."""
    validation_users: int = 5000
    """At most so many users validate during training."""
    checkpoint_every_steps: int = 500
    max_cpu_hours: float | None = None
    """Processor time, all threads of a process together, after which the training ends with its best weights."""
    tracker: Literal["tensorboard", "wandb"] | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation", "validate_every_epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("validation_users", "checkpoint_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_cpu_hours is not None and self.max_cpu_hours <= 0:
            raise ValueError(f"max_cpu_hours must be above 0, or null for no limit; got {self.max_cpu_hours}")


@dataclass(frozen=True)
class TrainingConfig(LoopConfig):
    """How the generator trains."""

    content_start: float = 0.1
    """Root mean square of the items' own vectors before the first step, where they are their content vectors brought to
    the generator's width; 0, or where the semantic IDs are made without content: they start from noise of .02."""
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content_start < 0:
            raise ValueError(f"content_start must be at least 0, got {self.content_start}")


class TrainingData(NamedTuple):
    """The training parts of all sequences, and which windows of them an epoch visits."""

    items: Int[ndarray, " interactions"]
    windows: Windows


@runtime_checkable
class Watcher(Protocol):
    """Who is told how the training goes: the log file, the progress bar, a tracker."""

    def on_step(self, state: TrainingState, figures: Mapping[str, float], *, num_steps: int) -> None:
        """After every optimiser step."""
        ...

    def on_event(self, event: Mapping[str, Any]) -> None:
        """After a validation, a resume, and at the end."""
        ...


class Trainer:
    """Trains one model; `train` is the whole of it."""

    def __init__(
        self,
        config: LoopConfig,
        objective: Objective,
        *,
        accelerator: Accelerator,
        checkpoints: CheckpointFolder,
        watcher: Watcher,
        seed: int,
    ) -> None:
        self.config = config
        self.objective = objective
        self.accelerator = accelerator
        self.checkpoints = checkpoints
        self.watcher = watcher
        self.seed = seed

    def train(
        self, model: Model, data: TrainingData, *, validate: Callable[[Model], Mapping[str, float]]
    ) -> TrainingState:
        """Train until the epochs, the patience or the time end; the model then holds its best weights.

        `validate` is called between epochs by every process and answers with at least "ndcg@10". Goes on from the
        newest checkpoint of the same training, if there is one.
        """
        model.train()
        optimizer = make_optimizer(model, self.config.optimizer)
        state = self._resume(model, optimizer)
        prepared, optimizer = self.accelerator.prepare(model, optimizer)
        clock = _Clock(state)
        while not state.finished:
            state = self._after_epoch(self._epoch(prepared, optimizer, data, state, clock))
            if state.finished or state.epoch % self.config.validate_every_epochs == 0:
                state = self._validated(model, validate, clock.on(state))
            self._save(model, optimizer, clock.on(state))
        self.accelerator.wait_for_everyone()
        self.checkpoints.load_best(model, state.best_step)
        self.accelerator.wait_for_everyone()  # the caller may remove the checkpoints now
        return clock.on(state)

    def _after_epoch(self, state: TrainingState) -> TrainingState:
        """The epoch counted; one that the time limit broke off is not, and ends the training."""
        if state.ended_by == "time":
            return replace(state, finished=True)
        state = replace(state, epoch=state.epoch + 1, batch=0)
        return replace(state, finished=True, ended_by="epochs") if state.epoch == self.config.epochs else state

    def _resume(self, model: nn.Module, optimizer: Optimizer) -> TrainingState:
        state = self.checkpoints.load_last(model, optimizer)
        if state is None:
            return TrainingState()
        self.watcher.on_event({"event": "resumed", "step": state.step, "epoch": state.epoch, "batch": state.batch})
        return state

    def _epoch(
        self, model: nn.Module, optimizer: Any, data: TrainingData, state: TrainingState, clock: "_Clock"
    ) -> TrainingState:
        num_steps = self.config.epochs * num_batches(data.windows, batch_size=self.config.batch_size)
        order = epoch_order(data.windows, batch_size=self.config.batch_size, seed=self.seed, epoch=state.epoch)
        for batch, chosen in enumerate(order):
            if batch < state.batch:
                continue
            figures, loss_weights = self._step(model, optimizer, data, chosen, state=state, num_steps=num_steps)
            state = state.after_batch(loss_weights)
            self.watcher.on_step(state, figures, num_steps=num_steps)
            if state.step % self.config.checkpoint_every_steps == 0:
                self._save(self.accelerator.unwrap_model(model), optimizer, clock.on(state))
            if self._out_of_time(clock.on(state)):
                return replace(state, ended_by="time")
        return state

    def _out_of_time(self, state: TrainingState) -> bool:
        """Whether the limit has passed on any process: all of them stop at the same step."""
        if self.config.max_cpu_hours is None:
            return False
        if state.cpu_seconds >= 3600 * self.config.max_cpu_hours:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    def _step(
        self,
        model: nn.Module,
        optimizer: Any,
        data: TrainingData,
        chosen: Int[ndarray, " batch"],
        *,
        state: TrainingState,
        num_steps: int,
    ) -> tuple[dict[str, float], tuple[float, ...]]:
        """One update on the chosen windows; its figures, and the weights of the losses in the next one.

        The figures are means over the targets that this process saw.
        """
        step = state.step
        rate = learning_rate(step, num_steps=num_steps, config=self.config.optimizer)
        for group in optimizer.param_groups:
            group["lr"] = rate
        num_processes, parts = self.accelerator.num_processes, self.config.gradient_accumulation
        num_targets = data.windows.num_targets(chosen)
        mine = chosen[self.accelerator.process_index :: num_processes]
        # a sum over this process's targets / all targets; DDP averages over the processes, hence the factor
        scale = num_processes / num_targets if len(mine) else 0.0
        mine = mine if len(mine) else chosen[:1]  # the last batch may have fewer windows than there are processes
        parts = min(parts, len(mine))
        seen: list[Losses] = []
        for part in range(parts):
            torch.manual_seed(_step_seed(self.seed, step, part, self.accelerator.process_index))
            with nullcontext() if part == parts - 1 else self.accelerator.no_sync(model):
                losses = self._losses(model, data, mine[part::parts], weights=state.loss_weights)
                self.accelerator.backward(losses.total * scale)
            seen.append(losses)
        norm = self.accelerator.clip_grad_norm_(model.parameters(), self.config.optimizer.max_grad_norm)
        if norm is not None and not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient is not finite at step {step}; the last checkpoint is untouched. "
                "Lower training.optimizer.learning_rate, or set training.mixed_precision to fp32"
            )
        optimizer.step()
        optimizer.zero_grad()
        figures = _figures(seen, data.windows.num_targets(mine), rate=rate)
        return figures, self._next_weights(state.loss_weights, seen, scale=scale)

    def _losses(
        self, model: nn.Module, data: TrainingData, chosen: Int[ndarray, " batch"], *, weights: tuple[float, ...]
    ) -> Losses:
        batch = window_batch(data.items, data.windows, chosen)
        objective = self.objective.weighed(weights) if isinstance(self.objective, AdaptiveObjective) else self.objective
        return objective.losses(model, Batch(*(part.to(self.accelerator.device) for part in batch)))

    def _next_weights(self, weights: tuple[float, ...], seen: list[Losses], *, scale: float) -> tuple[float, ...]:
        """What the objective makes of the weights after this step, by the means over all processes' targets."""
        if not isinstance(self.objective, AdaptiveObjective):
            return ()
        names = list(seen[0].parts)
        sums = torch.stack([torch.stack([losses.parts[name] for name in names]) for losses in seen]).sum(0)
        means = self.accelerator.reduce(sums * scale, reduction="mean")
        assert isinstance(means, torch.Tensor)
        return self.objective.next_weights(weights, dict(zip(names, means.tolist(), strict=True)))

    def _validated(
        self, model: Model, validate: Callable[[Model], Mapping[str, float]], state: TrainingState
    ) -> TrainingState:
        model.eval()
        metrics = validate(model)
        model.train()
        times = {"seconds": state.seconds, "cpu_seconds": state.cpu_seconds}
        self.watcher.on_event({"event": "validated", "epoch": state.epoch, "step": state.step, **times, **metrics})
        if metrics["ndcg@10"] > state.best_ndcg:
            if self.accelerator.is_main_process:
                self.checkpoints.save_best(model, state.step)
            return replace(state, best_ndcg=metrics["ndcg@10"], best_step=state.step, validations_since_best=0)
        waited = state.validations_since_best + 1
        state = replace(state, validations_since_best=waited)
        if state.finished or waited < self.config.patience:
            return state
        return replace(state, finished=True, ended_by="patience")

    def _save(self, model: nn.Module, optimizer: Any, state: TrainingState) -> None:
        if self.accelerator.is_main_process:
            self.checkpoints.save_last(model, optimizer, state)


class _Clock:
    """Seconds of this and earlier parts of a training."""

    def __init__(self, earlier: TrainingState) -> None:
        self._start = time.monotonic() - earlier.seconds
        self._cpu_start = time.process_time() - earlier.cpu_seconds

    def on(self, state: TrainingState) -> TrainingState:
        """The state with the time spent so far."""
        seconds, cpu_seconds = time.monotonic() - self._start, time.process_time() - self._cpu_start
        return replace(state, seconds=seconds, cpu_seconds=cpu_seconds)


def _step_seed(seed: int, step: int, part: int, process: int) -> int:
    """A seed for the dropout of one part of one step, so that a resumed training draws what it would have drawn."""
    return int(np.random.SeedSequence((seed, step, part, process)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _figures(losses: list[Losses], num_targets: int, *, rate: float) -> dict[str, float]:
    parts = {name: sum(part.parts[name].item() for part in losses) / num_targets for name in losses[0].parts}
    total = sum(part.total.item() for part in losses) / num_targets
    return {"loss": total, **parts, "learning_rate": rate, "targets": float(num_targets)}
