"""What a training minimises, as the loop sees it: a model and a batch in, sums over the batch's targets out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from genrec.data.batches import Batch
from genrec.generator.losses import LossConfig, generator_losses
from genrec.generator.vocabulary import Vocabulary


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


class GeneratorObjective:
    """Codes level by level, and the item head beside them."""

    def __init__(self, config: LossConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self.vocabulary = vocabulary

    def losses(self, model: nn.Module, batch: Batch) -> Losses:
        """The losses that the config adds up."""
        prediction = model(*batch, with_item_logits=self.config.item_weight > 0)
        rows = batch.targets[batch.targets >= 0]
        found = generator_losses(*prediction, codes=self.vocabulary.codes_of(rows), rows=rows, config=self.config)
        levels = {f"nll_level_{level}": nll for level, nll in enumerate(found.code_nll, start=1)}
        return Losses(found.total, {**levels, "nll_item": found.item_nll})
