"""What a training minimises, as the loop sees it: a model and a batch in, sums over the batch's targets out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from genrec.data.batches import Batch


class Losses(NamedTuple):
    """Sums over the targets of a batch, so that parts of a batch add up to the whole."""

    total: Float[Tensor, ""]
    """What is minimised."""
    parts: Mapping[str, Float[Tensor, ""]]
    """What it is made of, without gradients: name in the log -> sum."""


@runtime_checkable
class Objective(Protocol):
    """A loss together with the way in which its model is asked; the loop knows neither."""

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        """The losses of the batch, whose tensors are on the model's device.

        Chance is torch's, which the loop seeds for every step. `model` may be wrapped for several processes.
        """
        ...


@runtime_checkable
class AdaptiveObjective(Objective, Protocol):
    """An objective whose parts weigh by how the steps before went. It keeps nothing: the loop has the weights."""

    def weighed(self, weights: tuple[float, ...]) -> Objective:
        """The same objective with these weights; (): no step has been done yet."""
        ...

    def next_weights(self, weights: tuple[float, ...], means: Mapping[str, float]) -> tuple[float, ...]:
        """The weights after a step with these weights.

        `means`: its `Losses.parts`, each a mean over the targets of all processes.
        """
        ...
