"""What a training minimises, as the loop sees it: a model and a batch in, sums over the batch's targets out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from genrec.data.batches import Batch


class Whole(NamedTuple):
    """What the parts of a step's batch, computed one after another and by several processes, must have in common.

    What is drawn by the generator, and depends on nothing but the targets of all parts, is the same in all of them.
    """

    targets: Int[Tensor, " all_targets"]
    """Of all parts."""
    places: Int[Tensor, " targets"]
    """Where this part's stand among them."""
    chance: torch.Generator
    """On the CPU; in the same state for every part."""

    @classmethod
    def of(cls, targets: Int[Tensor, " targets"]) -> "Whole":
        """A batch that is the only part, by torch's own chance."""
        return cls(targets, torch.arange(len(targets), device=targets.device), torch.default_generator)


class Losses(NamedTuple):
    """Sums over the targets of a batch, so that parts of a batch add up to the whole."""

    total: Float[Tensor, ""]
    """What is minimised."""
    parts: Mapping[str, Float[Tensor, ""]]
    """What it is made of, without gradients: name in the log -> sum."""

    def times(self, factor: float) -> "Losses":
        """All of them multiplied."""
        return Losses(self.total * factor, {name: part * factor for name, part in self.parts.items()})


@runtime_checkable
class Objective(Protocol):
    """A loss together with the way in which its model is asked; the loop knows neither."""

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """The losses of the batch, whose tensors are on the model's device; `whole`: what it is a part of, None: all.

        All other chance is torch's, which the loop seeds for every part. `model` may be wrapped for several processes.
        """
        ...


@runtime_checkable
class AdaptiveObjective(Objective, Protocol):
    """An objective whose parts weigh by how the steps before went. It keeps nothing: the loop has the weights."""

    @property
    def adapts(self) -> bool:
        """Whether the weights ever change; if not, `next_weights` need not be asked."""
        ...

    def weighed(self, weights: tuple[float, ...]) -> Objective:
        """The same objective with these weights; (): no step has been done yet."""
        ...

    def next_weights(self, weights: tuple[float, ...], means: Mapping[str, float]) -> tuple[float, ...]:
        """The weights after a step with these weights.

        `means`: its `Losses.parts`, each a mean over the targets of all processes.
        """
        ...
