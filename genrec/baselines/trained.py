"""What trained baselines have in common: what they are built from, what the command asks of them, how they train."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from numpy import ndarray
from torch import Tensor, nn

from genrec.data.batches import Windows
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits
from genrec.training.loop_config import LoopConfig
from genrec.training.objective import Objective
from tokenizer import SemanticIDs
from trie import PrefixTrie

Content = Float32[ndarray, "items content_dim"]
"""What is known of the items apart from who took them: their embeddings."""


class CodedItems(NamedTuple):
    """The items as codes, for models that read and write them."""

    semantic_ids: SemanticIDs
    prefix_trie: PrefixTrie


@runtime_checkable
class ScoringModel(Protocol):
    """A module that scores the whole catalogue once it has been trained."""

    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Score of every item as the next one after each history; higher is better, -inf: not a candidate."""
        ...


@runtime_checkable
class TrainedBaseline(Protocol):
    """A config that knows how its model is built and trained."""

    @property
    def training(self) -> LoopConfig:
        """How long and how."""
        ...

    def build(self, num_items: int, coded: CodedItems | None, content: Content | None) -> nn.Module:
        """An untrained model, which is a `ScoringModel` too; the caller seeds torch.

        `coded`, `content` (the items' embeddings): None where not needed.
        """
        ...

    def windows(self, interactions: Interactions, splits: Splits) -> Windows:
        """The examples of an epoch."""
        ...

    def objective(self) -> Objective:
        """What the training minimises."""
        ...


def at_newest(
    values: Shaped[Tensor, "batch items *rest"], history: Int[Tensor, "batch items"]
) -> Shaped[Tensor, "batch *rest"]:
    """What stands at the newest item of each history; padding (-1) is at the end, and no history is empty."""
    return values[torch.arange(len(history), device=history.device), (history >= 0).sum(1) - 1]


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def as_float32(scores: Float[Tensor, "cases items"]) -> Float32[ndarray, "cases items"]:
    """Scores as the evaluator takes them."""
    return scores.float().cpu().numpy().astype(np.float32, copy=False)
