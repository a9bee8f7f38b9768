"""BERT4Rec: a bidirectional transformer that fills in masked items (Sun et al. 2019, 1904.06690).

It needs long training: with the epochs that other models get it looks far worse than it is, and the published figures
take up to thirty times the original code's default training (Petrov & Macdonald 2022, 2207.07483). So its default
here is many epochs and patience. Logits are those of the whole catalogue at every masked place; they have no bias per
item, and the layers normalise before attention, unlike the paper's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import gelu

from genrec.baselines.item_transformer import ItemPrediction, ItemTransformer, ItemTransformerSizes
from genrec.baselines.trained import CodedItems, Content, as_float32, at_newest, device_of
from genrec.data.batches import PADDING, Batch, Windows, history_batch, sequence_windows
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits
from genrec.generator.item_softmax import item_softmax_cross_entropy
from genrec.training.loop_config import LoopConfig
from genrec.training.objective import Losses, Objective, Whole
from genrec.training.optimizer import OptimizerConfig


def _training() -> LoopConfig:
    return LoopConfig(
        epochs=400,
        validate_every_epochs=5,
        patience=80,
        optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.01, warmup_steps=100),
    )


@dataclass(frozen=True)
class BERT4RecConfig(ItemTransformerSizes):
    """The model's sizes, how it is masked, and its training."""

    feed_forward_dim: int = 256
    activation: Literal["relu", "gelu"] = "gelu"
    masked_share: float = 0.3
    """Of the items of a sequence; the paper's are 0.2 to 0.6, the longer the sequences the less."""
    only_newest_share: float = 0.1
    """Of the sequences: those in which the newest item alone is masked, as it is when the model is asked."""
    training: LoopConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.masked_share < 1:
            raise ValueError(f"masked_share must lie between 0 and 1, got {self.masked_share}")
        if not 0 <= self.only_newest_share <= 1:
            raise ValueError(f"only_newest_share must lie in [0, 1], got {self.only_newest_share}")

    def build(
        self,
        num_items: int,
        coded: CodedItems | None = None,
        content: Content | None = None,
    ) -> "BERT4Rec":
        """An untrained model."""
        return BERT4Rec(self, num_items)

    def windows(self, interactions: Interactions, splits: Splits) -> Windows:
        """Whole sequences of at most `max_items`, the newest item of a window among them."""
        return sequence_windows(interactions.offsets[:-1], splits.train_end, max_items=self.max_items - 1)

    def objective(self) -> Objective:
        """Masked items as targets."""
        return ClozeObjective(self.masked_share, self.only_newest_share)


class BERT4Rec(nn.Module):
    """Reads items and masks in both directions; the state of a mask predicts the item behind it."""

    def __init__(self, sizes: ItemTransformerSizes, num_items: int) -> None:
        super().__init__()
        self.max_items = sizes.max_items
        self.mask = num_items
        self.transformer = ItemTransformer(sizes, num_items + 1)
        self.projection = nn.Linear(sizes.width, sizes.width)
        self.output_norm = nn.LayerNorm(sizes.width)

    @property
    def item_vectors(self) -> Float[Tensor, "items width"]:
        """One vector per item, without the mask's."""
        return self.transformer.vectors.weight[: self.mask]

    def forward(self, sequence: Int[Tensor, "batch items"], hidden: Int[Tensor, "batch items"]) -> ItemPrediction:
        """The states that predict the hidden items, given the others of the sequence.

        `hidden` has the items that are behind a mask and -1 elsewhere; -1 in `sequence` is padding at the end.
        """
        is_hidden = hidden >= 0
        states = self._states(sequence.masked_fill(is_hidden, self.mask))
        return ItemPrediction(self._projected(states[is_hidden]), self.item_vectors)

    @torch.inference_mode()
    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Logit of every item behind a mask that follows the newest `max_items - 1` items of each history."""
        history = history_batch(histories, max_items=self.max_items - 1).to(device_of(self))
        sequence = appended(history, torch.full_like(history[:, 0], self.mask))
        states = at_newest(self._states(sequence), sequence)
        return as_float32(self._projected(states) @ self.item_vectors.T)

    def _states(self, sequence: Int[Tensor, "batch items"]) -> Float[Tensor, "batch items width"]:
        return self.transformer(sequence, visible=(sequence >= 0)[:, None, None])

    def _projected(self, states: Float[Tensor, "targets width"]) -> Float[Tensor, "targets width"]:
        return self.output_norm(gelu(self.projection(states)))


class ClozeObjective:
    """Cross-entropy over the whole catalogue at masked places, drawn anew in every step."""

    def __init__(self, masked_share: float, only_newest_share: float) -> None:
        self.masked_share = masked_share
        self.only_newest_share = only_newest_share

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """The mean over the masked places, in nats, times the targets of the batch, by which the loop divides."""
        newest = at_newest(batch.targets, batch.history)
        sequence = appended(batch.history, newest)
        hidden = self.hide(sequence)
        states, item_vectors = model(sequence, hidden)
        nll = item_softmax_cross_entropy(states, item_vectors, hidden[hidden >= 0])
        scaled = nll * ((batch.targets >= 0).sum() / (hidden >= 0).sum())
        return Losses(scaled, {"nll_masked": scaled.detach()})

    def hide(self, sequence: Int[Tensor, "batch items"]) -> Int[Tensor, "batch items"]:
        """The items to mask, at least one a sequence, and -1 elsewhere."""
        places = torch.arange(sequence.shape[1], device=sequence.device)
        is_newest = places == (sequence >= 0).sum(1, keepdim=True) - 1
        drawn = (torch.rand(sequence.shape, device=sequence.device) < self.masked_share) & (sequence >= 0)
        only_newest = torch.rand(len(sequence), 1, device=sequence.device) < self.only_newest_share
        only_newest |= ~drawn.any(1, keepdim=True)
        return sequence.masked_fill(~torch.where(only_newest, is_newest, drawn), PADDING)


def appended(history: Int[Tensor, "batch items"], newest: Int[Tensor, " batch"]) -> Int[Tensor, "batch items_plus_1"]:
    """The histories with one more item at their end; padding (-1) stays behind it."""
    longer = torch.nn.functional.pad(history, (0, 1), value=PADDING)
    return longer.scatter(1, (history >= 0).sum(1, keepdim=True), newest[:, None])
