"""Who is told how a training goes: the run's log, the bar on the terminal, and a tracker if one is chosen."""

import time
from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator

from genrec.artifacts import RunFolder
from genrec.progress import Bar, Progress
from genrec.training.checkpoint import TrainingState


class RunWatcher:
    """Writes to `log.jsonl`, moves the bar, feeds the tracker; on the main process only."""

    def __init__(self, run: RunFolder, accelerator: Accelerator, progress: Progress, bar: Bar) -> None:
        self.run = run
        self.accelerator = accelerator
        self.progress = progress
        self.bar = bar
        self._targets = 0
        self._since = time.monotonic()
        self._shown: dict[str, float] = {}

    def on_step(self, state: TrainingState, *, num_targets: int, num_steps: int) -> None:
        """Move the bar."""
        if self.accelerator.is_main_process:
            self._targets += num_targets
            self.bar(state.step, num_steps, {**self._shown, "targets/s": self._speed})

    def on_figures(self, state: TrainingState, figures: Mapping[str, float]) -> None:
        """Write them down; the losses stand beside the bar until the next ones."""
        if not self.accelerator.is_main_process:
            return
        self._shown = {name: value for name, value in figures.items() if name == "loss" or name.startswith("nll")}
        event = {"event": "trained", "step": state.step, "epoch": state.epoch, **figures, "targets_per_s": self._speed}
        self.run.append_log(event)
        self.accelerator.log({**figures, "targets_per_s": self._speed}, step=state.step)

    @property
    def _speed(self) -> float:
        return self._targets / max(time.monotonic() - self._since, 1e-9)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Write it down, and say the main figures."""
        if not self.accelerator.is_main_process:
            return
        self.run.append_log(event)
        figures = {name: value for name, value in event.items() if isinstance(value, float)}
        if figures and "step" in event:
            self.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=event["step"])
        words = [
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in event.items()
        ]
        self.progress.say("  " + "  ".join(words).removeprefix("event "))
