"""SASRec: a causal transformer over items (Kang & McAuley 2018, 1808.09781), with either of two losses.

`full`: cross-entropy over the whole catalogue, with which SASRec beats what came after it (Klenitskiy & Vasilev 2023,
2309.07602). `one_negative`: the paper's own, a binary cross-entropy against one item drawn at random, with which most
tables show it.

Unlike the paper's, layers normalise before attention and leave the residual as it is, and places count from the oldest
item that is read. Each item of a sequence is a target once an epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import softplus

from genrec.baselines.item_transformer import ItemPrediction, ItemTransformer, ItemTransformerSizes
from genrec.baselines.trained import CodedItems, Content, as_float32, at_newest, device_of
from genrec.data.batches import Batch, Windows, history_batch, sequence_windows
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits
from genrec.generator.item_softmax import item_softmax_cross_entropy
from genrec.training.content_start import content_start
from genrec.training.loop_config import LoopConfig
from genrec.training.objective import Losses, Objective, Whole
from genrec.training.optimizer import OptimizerConfig


def _training() -> LoopConfig:
    return LoopConfig(
        epochs=100,
        validate_every_epochs=2,
        patience=50,  # none: all baselines end at the end of their learning rate, as the generator does
        optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.5, warmup_steps=100),
    )


@dataclass(frozen=True)
class SASRecConfig(ItemTransformerSizes):
    """The model's sizes, its loss and its training.

    The defaults were settled on the validation part of Office, where dropout of 0.5 and weight decay of 0.5 raised
    NDCG@10 from .0564 (0.3 and none) to .0628.
    """

    dropout: float = 0.5
    loss: Literal["full", "one_negative"] = "full"
    content_start: float = 0.0
    """Root mean square of the item vectors before the first step, where they are the items' content vectors brought to
    the width of the model; 0: they start from noise, as in the papers."""
    training: LoopConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content_start < 0:
            raise ValueError(f"content_start must be at least 0, got {self.content_start}")

    def build(
        self,
        num_items: int,
        coded: CodedItems | None = None,
        content: Content | None = None,
    ) -> "SASRec":
        """An untrained model; `ValueError` if it is to start at content that is not there."""
        model = SASRec(self, num_items)
        if not self.content_start:
            return model
        if content is None:
            raise ValueError("content_start is above 0: expected the items' content vectors to start at, got None")
        model.start_at(content_start(content, width=self.width, scale=self.content_start))
        return model

    def windows(self, interactions: Interactions, splits: Splits) -> Windows:
        """Whole sequences, cut at `max_items`."""
        return sequence_windows(interactions.offsets[:-1], splits.train_end, max_items=self.max_items)

    def objective(self) -> Objective:
        """The loss that the config names."""
        return FullSoftmaxObjective() if self.loss == "full" else OneNegativeObjective()


def sasrec_of_content() -> SASRecConfig:
    """What content alone does: the default, begun as the generator's item vectors are."""
    return SASRecConfig(content_start=0.1)


def original_sasrec() -> SASRecConfig:
    """One head and width 50, dropout 0.5 as for the paper's sparse data sets, and a constant learning rate."""
    optimizer = OptimizerConfig(learning_rate=1e-3, weight_decay=0.0, warmup_steps=0, final_share=1.0)
    training = LoopConfig(epochs=200, validate_every_epochs=5, patience=8, optimizer=optimizer)
    return SASRecConfig(width=50, num_heads=1, feed_forward_dim=50, dropout=0.5, loss="one_negative", training=training)


class SASRec(nn.Module):
    """Reads items, oldest first; the state of each predicts the next one. Inputs and outputs share their vectors."""

    def __init__(self, sizes: ItemTransformerSizes, num_items: int) -> None:
        super().__init__()
        self.max_items = sizes.max_items
        self.transformer = ItemTransformer(sizes, num_items)

    @torch.no_grad()
    def start_at(self, vectors: Float32[ndarray, "items width"]) -> None:
        """Begin the learning with these item vectors."""
        self.item_vectors.copy_(torch.from_numpy(vectors))

    @property
    def item_vectors(self) -> Float[Tensor, "items width"]:
        """One vector per item."""
        return self.transformer.vectors.weight

    def forward(self, history: Int[Tensor, "batch items"], targets: Int[Tensor, "batch items"]) -> ItemPrediction:
        """The states that predict the targets: `targets[b, p]` follows `history[b, p]`, -1 where there is none."""
        return ItemPrediction(self.transformer(history, causal=True)[targets >= 0], self.item_vectors)

    @torch.inference_mode()
    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Logit of every item after the newest `max_items` items of each history, none of which is empty."""
        history = history_batch(histories, max_items=self.max_items).to(device_of(self))
        states = at_newest(self.transformer(history, causal=True), history)
        return as_float32(states @ self.item_vectors.T)


class FullSoftmaxObjective:
    """Cross-entropy over the whole catalogue at every target."""

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """In nats, summed over the targets."""
        states, item_vectors = model(*batch)
        nll = item_softmax_cross_entropy(states, item_vectors, batch.targets[batch.targets >= 0])
        return Losses(nll, {"nll_item": nll.detach()})


class OneNegativeObjective:
    """At every target, a binary cross-entropy of it and of one item that its window does not have."""

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """Both terms in nats, summed over the targets."""
        states, item_vectors = model(*batch)
        has_target = batch.targets >= 0
        seen = torch.cat([batch.history, batch.targets], dim=1)
        negatives = unseen_items(seen, batch.targets.shape[1], num_items=len(item_vectors))
        rows = batch.targets[has_target]
        loss = one_negative_loss(states, item_vectors, rows=rows, negatives=negatives[has_target])
        return Losses(loss, {"nll_one_negative": loss.detach()})


def one_negative_loss(
    states: Float[Tensor, "targets width"],
    item_vectors: Float[Tensor, "items width"],
    *,
    rows: Int[Tensor, " targets"],
    negatives: Int[Tensor, " targets"],
) -> Float[Tensor, ""]:
    """-log(sigmoid(target's logit)) - log(1 - sigmoid(negative's logit)), summed (1808.09781, section III-E)."""
    wanted = (states * item_vectors[rows]).sum(-1)
    unwanted = (states * item_vectors[negatives]).sum(-1)
    return (softplus(-wanted) + softplus(unwanted)).sum()


def unseen_items(seen: Int[Tensor, "batch items"], num_draws: int, *, num_items: int) -> Int[Tensor, "batch draws"]:
    """Items drawn uniformly from those that are not in the row of `seen`, where -1 is padding; repeats are allowed.

    Raises:
        ValueError: a row of `seen` has every item.
    """
    ordered, _ = seen.sort(dim=1)
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    is_first &= ordered >= 0
    num_seen = is_first.sum(1, keepdim=True)
    if len(seen) and int(num_seen.max()) >= num_items:
        raise ValueError(f"there is no negative to draw: a sequence has all {num_items} items")
    share = torch.rand(
        len(seen), num_draws, device=seen.device, dtype=torch.float64
    )  # float32 misses some of 2^24 items
    drawn = (share * (num_items - num_seen)).long()
    # the n-th unseen item has n plus the seen items below it: those whose row less their own number is at most n
    shift = (ordered - is_first.cumsum(1) + 1).masked_fill(~is_first, num_items).sort(dim=1).values
    return drawn + torch.searchsorted(shift, drawn, right=True)
