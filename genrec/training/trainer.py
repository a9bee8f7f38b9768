"""The training loop. The order of batches, the learning rate and the dropout are functions of (seed, step)."""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn, Protocol, TypeVar, runtime_checkable

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from genrec.data.epochs import TrainingData, num_steps
from genrec.errors import ArtifactError
from genrec.stopping import StopRequest, end, stop_requests
from genrec.training.checkpoint import CheckpointFolder, TrainingState
from genrec.training.loop_config import LoopConfig
from genrec.training.objective import AdaptiveObjective, Objective
from genrec.training.optimizer import learning_rate, make_optimizer
from genrec.training.sharding import is_sharded, to_be_sharded, whole_tensors
from genrec.training.step import Flags, StepFigures, Updater

Model = TypeVar("Model", bound=nn.Module)


@runtime_checkable
class Watcher(Protocol):
    """Who is told how the training goes: the log file, the progress bar, a tracker."""

    def on_step(self, state: TrainingState, *, num_targets: int, num_steps: int) -> None:
        """After every optimiser step."""
        ...

    def on_figures(self, state: TrainingState, figures: Mapping[str, float]) -> None:
        """After some steps: means over the targets of the step."""
        ...

    def on_event(self, event: Mapping[str, Any]) -> None:
        """After a validation, a resume, and at the end."""
        ...


Validate = Callable[[Model, Callable[[], None]], Mapping[str, float]]
"""Figures of a model, "ndcg@10" among them. Every process calls it, and it calls its second argument every second or
so, equally often on each of them: there a training that was asked to stop does so."""


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

    def train(self, model: Model, data: TrainingData, *, validate: Validate[Model]) -> TrainingState:
        """Train until the epochs, the patience or the time end; the model then holds its best weights.

        Goes on from the newest checkpoint of the same training, if there is one. After SIGTERM or SIGINT on any
        process, all save and end the program within a step.
        """
        state, updater = self._begin(model)
        clock = _Clock(state)
        with stop_requests() as request:
            while not state.finished:
                if not state.validation_due:
                    state = self._after_epoch(self._epoch(updater, data, state, clock, request))
                    self._save(updater, clock.on(state))
                if state.validation_due:
                    state = self._validated(updater, model, validate, clock.on(state), request)
                    self._save(updater, clock.on(state))
            self._stop_if_asked(request, state)  # one that came during the last save
        self.accelerator.wait_for_everyone()
        self.checkpoints.load_best(model, state.best_step)
        self.accelerator.wait_for_everyone()  # the caller may remove the checkpoints now
        return clock.on(state)

    def _after_epoch(self, state: TrainingState) -> TrainingState:
        """The epoch counted; one that the time limit broke off is not, and ends the training."""
        if state.ended_by == "time":
            return replace(state, validation_due=True)
        state = replace(state, epoch=state.epoch + 1, batch=0)
        ended_by = "epochs" if state.epoch == self.config.epochs else ""
        return replace(
            state,
            ended_by=ended_by,
            validation_due=ended_by != "" or state.epoch % self.config.validate_every_epochs == 0,
        )

    def _begin(self, model: nn.Module) -> tuple[TrainingState, Updater]:
        """Where the training stands, and what updates the model or, where weights are sharded, a copy of it."""
        shared = to_be_sharded(model, self.accelerator).train()
        optimizer = make_optimizer(shared, self.config.optimizer)
        loaded = self.checkpoints.load_last(shared, optimizer)
        self._require_agreement(None if loaded is None else loaded.state)
        if loaded is not None:
            shared.load_state_dict(loaded.weights)
        prepared, optimizer = self.accelerator.prepare(shared, optimizer)
        if loaded is not None:
            loaded.restore(optimizer)
        updater = Updater(
            prepared,
            optimizer,
            self.accelerator,
            num_parts=self.config.gradient_accumulation,
            max_grad_norm=self.config.optimizer.max_grad_norm,
            seed=self.seed,
        )
        return (TrainingState() if loaded is None else self._resumed(loaded.state)), updater

    def _require_agreement(self, state: TrainingState | None) -> None:
        found = gather_object([state and (state.step, state.validation_due)])
        if any(other != found[0] for other in found):
            raise ArtifactError(
                f"the processes found different checkpoints in {self.checkpoints.path} (step and whether it is to be "
                f"validated: {found}); put the run folder on a disk that all machines share"
            )

    def _resumed(self, state: TrainingState) -> TrainingState:
        where = {"step": state.step, "epoch": state.epoch, "batch": state.batch, "seconds": state.seconds}
        self.watcher.on_event({"event": "resumed", **where})
        if state.ended_by == "time" and not self._is_late(state):  # it is given more time now
            return replace(state, ended_by="", validation_due=False)
        return state

    def _epoch(
        self, updater: Updater, data: TrainingData, state: TrainingState, clock: "_Clock", request: StopRequest
    ) -> TrainingState:
        batch_size, first_step = self.config.batch_size, state.step
        total = self.config.epochs * num_steps(data.num_windows, batch_size=batch_size)
        for windows in data.steps(batch_size=batch_size, seed=self.seed, epoch=state.epoch, first=state.batch):
            rate = learning_rate(state.step, num_steps=total, config=self.config.optimizer)
            flags = Flags(request.signal, out_of_time=self._is_late(clock.on(state)))
            objective = self._weighed(state.loss_weights)
            found = updater.update(windows, objective, step=state.step, rate=rate, flags=flags)
            state = state.after_batch(self._next_weights(state.loss_weights, found.figures))
            self.watcher.on_step(state, num_targets=windows.num_targets, num_steps=total)
            if state.step % self.config.log_every_steps == 0 or state.step == first_step + 1:
                about = {"learning_rate": rate, "targets": float(windows.num_targets)}
                self.watcher.on_figures(state, found.figures.means(self.accelerator) | about)
            if found.flags.signal:
                self._save(updater, clock.on(state))
                self._end(found.flags.signal, state, during="training")
            if state.step % self.config.checkpoint_every_steps == 0:
                self._save(updater, clock.on(state))
            if found.flags.out_of_time:
                return replace(state, ended_by="time")
        return state

    def _is_late(self, state: TrainingState) -> bool:
        return self.config.max_cpu_hours is not None and state.cpu_seconds >= 3600 * self.config.max_cpu_hours

    def _weighed(self, weights: tuple[float, ...]) -> Objective:
        return self.objective.weighed(weights) if isinstance(self.objective, AdaptiveObjective) else self.objective

    def _next_weights(self, weights: tuple[float, ...], figures: StepFigures) -> tuple[float, ...]:
        """What the objective makes of the weights after a step, by the means over all processes' targets."""
        if not isinstance(self.objective, AdaptiveObjective) or not self.objective.adapts:
            return ()
        return self.objective.next_weights(weights, figures.means(self.accelerator))

    def _validated(
        self, updater: Updater, model: Model, validate: Validate[Model], state: TrainingState, request: StopRequest
    ) -> TrainingState:
        """The state with its validation; it is saved already, so that a request to stop loses nothing."""
        if is_sharded(updater.unwrapped):
            model.load_state_dict(whole_tensors(updater.unwrapped.state_dict()))
            model.to(self.accelerator.device)
        model.eval()
        metrics = validate(model, lambda: self._stop_if_asked(request, state))
        model.train()
        times = {"seconds": state.seconds, "cpu_seconds": state.cpu_seconds}
        self.watcher.on_event({"event": "validated", "epoch": state.epoch, "step": state.step, **times, **metrics})
        state = replace(state, validation_due=False)
        if metrics["ndcg@10"] > state.best_ndcg:
            self.checkpoints.save_best(model, state.step)
            return replace(state, best_ndcg=metrics["ndcg@10"], best_step=state.step, validations_since_best=0)
        waited = state.validations_since_best + 1
        state = replace(state, validations_since_best=waited)
        return replace(state, ended_by="patience") if waited >= self.config.patience and not state.ended_by else state

    def _stop_if_asked(self, request: StopRequest, state: TrainingState) -> None:
        number = Flags(request.signal).agreed(self.accelerator).signal
        if number:
            self._end(number, state, during="validation")

    def _save(self, updater: Updater, state: TrainingState) -> None:
        self.checkpoints.save_last(updater.unwrapped, updater.optimizer, state)

    def _end(self, number: int, state: TrainingState, *, during: str) -> NoReturn:
        name = signal.Signals(number).name
        self.watcher.on_event({"event": "stopped", "signal": name, "step": state.step, "during": during})
        self.accelerator.wait_for_everyone()
        end(number)


class _Clock:
    """Seconds of this and earlier parts of a training."""

    def __init__(self, earlier: TrainingState) -> None:
        self._start = time.monotonic() - earlier.seconds
        self._cpu_start = time.process_time() - earlier.cpu_seconds

    def on(self, state: TrainingState) -> TrainingState:
        """The state with the time spent so far."""
        seconds, cpu_seconds = time.monotonic() - self._start, time.process_time() - self._cpu_start
        return replace(state, seconds=seconds, cpu_seconds=cpu_seconds)
