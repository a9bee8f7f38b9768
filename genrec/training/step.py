"""One optimiser step: the losses of a batch in parts, what all processes must agree on, and the update."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from genrec.data.batches import Batch, StepWindows
from genrec.errors import TrainingError
from genrec.stopping import STOP_SIGNALS
from genrec.training.objective import Losses, Objective, Whole
from genrec.training.sharding import whole

_OF_THE_WHOLE = 1 << 31  # no part has this number, so none draws by the same chance
_OUT_OF_MEMORY = ("not enough memory", "out of memory", "can't allocate memory")
_NUM_USERS_NAMED = 8


class Flags(NamedTuple):
    """What ends a training early: on this process or, once it is agreed, on any."""

    signal: int = 0
    """Number of a signal to stop; 0: none."""
    out_of_time: bool = False
    not_finite: bool = False

    def agreed(self, accelerator: Accelerator) -> "Flags":
        """The same on all processes, each of which has to ask."""
        if accelerator.num_processes == 1:
            return self
        raised = [*(self.signal == number for number in STOP_SIGNALS), self.out_of_time, self.not_finite]
        found = accelerator.reduce(torch.tensor(raised, dtype=torch.float32, device=accelerator.device))
        assert isinstance(found, Tensor)
        *signals, out_of_time, not_finite = found.tolist()
        first = next((number for number, count in zip(STOP_SIGNALS, signals, strict=True) if count), 0)
        return Flags(int(first), out_of_time > 0, not_finite > 0)


class StepFigures(NamedTuple):
    """Sums over the targets of one process, on its device until somebody asks."""

    names: Sequence[str]
    sums: Float[Tensor, " figures"]
    num_targets: int
    """Of all processes."""

    @classmethod
    def of(cls, seen: Sequence[Losses], num_targets: int) -> "StepFigures":
        """The losses of the parts added up."""
        names = ("loss", *seen[0].parts)
        rows = [torch.stack([losses.total.detach(), *losses.parts.values()]) for losses in seen]
        return cls(names, torch.stack(rows).sum(0), num_targets)

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over the targets of all processes, each of which has to ask."""
        sums = accelerator.reduce(self.sums.clone(), reduction="sum")
        assert isinstance(sums, Tensor)
        return dict(zip(self.names, (sums / self.num_targets).tolist(), strict=True))


class StepResult(NamedTuple):
    """What an update leaves besides the weights."""

    figures: StepFigures
    flags: Flags
    """The same on all processes."""


@dataclass(frozen=True)
class Updater:
    """Updates a model that accelerate has prepared.

    All chance follows from (seed, step). What the parts have in common is the same for any number of processes and of
    parts; the model's dropout is each part's own.
    """

    model: nn.Module
    optimizer: Any
    accelerator: Accelerator
    num_parts: int
    """In which a process computes its share of a batch, one after another, to save memory."""
    max_grad_norm: float
    seed: int

    @property
    def unwrapped(self) -> nn.Module:
        """The model as it was built, though its weights may be sharded."""
        return self.accelerator.unwrap_model(self.model)

    def update(self, windows: StepWindows, objective: Objective, *, step: int, rate: float, flags: Flags) -> StepResult:
        """One update on the windows at this learning rate.

        Raises:
            TrainingError: the loss or its gradient is not finite, or memory is short; the weights are as they were.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with _told_what_to_lower(step):
            seen = [self._part(number, windows, objective, step) for number in range(self.num_parts)]
            norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        figures = StepFigures.of(seen, windows.num_targets)
        finite = figures.sums[0].isfinite()
        if norm is not None:
            finite &= whole(norm).isfinite()
        flags = flags._replace(not_finite=not bool(finite)).agreed(self.accelerator)
        if flags.not_finite:
            raise TrainingError(_not_finite(windows, step))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepResult(figures, flags)

    def _part(self, number: int, windows: StepWindows, objective: Objective, step: int) -> Losses:
        """Losses of one of this process's parts; its gradients are added to those before."""
        process, num_processes = self.accelerator.process_index, self.accelerator.num_processes
        part = windows.part(process + number * num_processes, num_processes * self.num_parts)
        is_empty = not len(part.places)
        if is_empty:  # no process may stand aside: it computes the first window again, which counts for nothing
            part = windows.part(0, len(windows.windows.begin))
        device, is_last = self.accelerator.device, number == self.num_parts - 1
        of_all = Whole(windows.targets.to(device), part.places.to(device), self._chance_of_the_whole(step))
        torch.manual_seed(_seed(self.seed, step, number, process))
        with nullcontext() if is_last else self.accelerator.no_sync(self.model):
            losses = objective.losses(self.model, Batch(*(tensor.to(device) for tensor in part.batch)), of_all)
            # a sum over these targets / all targets; DDP averages over the processes, hence the factor
            self.accelerator.backward(losses.total * (0.0 if is_empty else num_processes / windows.num_targets))
        return losses.times(0.0) if is_empty else losses

    def _chance_of_the_whole(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(_seed(self.seed, step, _OF_THE_WHOLE))


def _seed(*numbers: int) -> int:
    """A seed for these numbers, so that a training that goes on draws what it would have drawn."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _told_what_to_lower(step: int) -> Iterator[None]:
    """A lack of memory as a `TrainingError` that says what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
            words in text for words in _OUT_OF_MEMORY
        ):
            raise
        raise TrainingError(
            f"out of memory in step {step} ({text.splitlines()[0][:200] if text else type(error).__name__}); the last "
            "checkpoint is untouched. Raise training.gradient_accumulation (the updates stay the same), or lower "
            "training.batch_size or generator.max_items; a large catalogue needs training.loss.item_negatives"
        ) from error


def _not_finite(windows: StepWindows, step: int) -> str:
    users = windows.windows.users
    named = ", ".join(str(user) for user in users[:_NUM_USERS_NAMED].tolist())
    more = f" and {len(users) - _NUM_USERS_NAMED} more" if len(users) > _NUM_USERS_NAMED else ""
    return (
        f"the loss or its gradient is not finite in step {step}, a batch of the users in rows {named}{more} of "
        "sequences.parquet, counted from 0; nothing was updated and the last checkpoint is untouched. Lower "
        "training.optimizer.learning_rate, or set training.mixed_precision to fp32"
    )
