"""A transformer over one learned vector per item: what SASRec and BERT4Rec share."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from genrec.generator.layers import Dropout, EncoderLayer, LayerShape

_INITIAL_STD = 0.02


@dataclass(frozen=True)
class ItemTransformerSizes:
    """Sizes of the transformer, and how much is dropped."""

    width: int = 64
    num_layers: int = 2
    num_heads: int = 2
    feed_forward_dim: int = 64
    activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.3
    max_items: int = 50
    """Places of the sequence that is read."""

    def __post_init__(self) -> None:
        for name in ("width", "num_layers", "num_heads", "feed_forward_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_items < 2:
            raise ValueError(f"max_items must be at least 2, got {self.max_items}")
        if self.width % self.num_heads:
            raise ValueError(f"width must be a multiple of num_heads {self.num_heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")


class ItemPrediction(NamedTuple):
    """What a model says of every target: its logits are `states @ item_vectors.T`, which is for a loss to compute."""

    states: Float[Tensor, "targets width"]
    item_vectors: Float[Tensor, "items width"]


class ItemTransformer(nn.Module):
    """Item vectors plus a learned vector per place (from the oldest item), pre-norm layers, a last norm."""

    def __init__(self, sizes: ItemTransformerSizes, num_vectors: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(num_vectors, sizes.width)
        self.places = nn.Embedding(sizes.max_items, sizes.width)
        shape = LayerShape(sizes.width, sizes.num_heads, sizes.feed_forward_dim, sizes.activation, sizes.dropout)
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(sizes.num_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = Dropout(sizes.dropout)
        self.apply(_initialise)

    def forward(
        self,
        rows: Int[Tensor, "batch length"],
        *,
        visible: Bool[Tensor, "batch 1 1 length"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "batch length width"]:
        """States of the sequences, padded with -1 at the end; who sees what is the caller's business."""
        places = torch.arange(rows.shape[1], device=rows.device)
        states = self.dropout(self.vectors(rows.clamp(min=0)) + self.places(places))
        for layer in self.layers:
            states = layer(states, visible=visible, causal=causal)
        return self.norm(states)


def _initialise(module: nn.Module) -> None:
    """Small normal weights as in BERT (1810.04805), and no biases."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_INITIAL_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
