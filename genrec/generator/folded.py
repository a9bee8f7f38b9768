"""Transformer layers with their weights put together for searching: fewer and larger products, the same function.

A layer norm's scale and shift and the attention's scale go into the product that follows them. Matrices are
(in, out) and contiguous, which small products prefer.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from genrec.generator.layers import Attention, EncoderLayer, FeedForward


class Map(NamedTuple):
    """An affine map of row vectors."""

    matrix: Float[Tensor, "in out"]
    bias: Float[Tensor, " out"]

    @classmethod
    def after_norm(
        cls, norm: nn.LayerNorm, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
    ) -> "Map":
        """The map of what `normed` gives that equals the norm with its scale and shift, followed by a linear layer."""
        shift = weight @ norm.bias
        return cls((weight * norm.weight).T.contiguous(), shift if bias is None else shift + bias)

    def __call__(self, rows: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        """Each row mapped."""
        return torch.addmm(self.bias, rows, self.matrix)


class FoldedFeedForward(NamedTuple):
    """A norm and a feed-forward block."""

    expand: Map
    contract: Map
    activation: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, norm: nn.LayerNorm, block: FeedForward) -> "FoldedFeedForward":
        """The folded weights of both."""
        contract = Map(block.contract.weight.T.contiguous(), block.contract.bias.detach())
        return cls(Map.after_norm(norm, block.expand.weight, block.expand.bias), contract, block.activation)

    def __call__(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        """The rows and what the block adds to them."""
        hidden = self.activation(self.expand(normed(rows)))
        return torch.addmm(rows, hidden, self.contract.matrix).add_(self.contract.bias)


class FoldedSelfAttention(NamedTuple):
    """A norm and the queries, keys and values of one attention in one product, and its output map."""

    mix: Map
    output: Float[Tensor, "width width"]
    num_heads: int

    @classmethod
    def of(cls, norm: nn.LayerNorm, attention: Attention) -> "FoldedSelfAttention":
        """The folded weights of both; queries are scaled, so attend with scale 1."""
        weight = torch.cat([attention.query.weight * query_scale(attention), attention.key_value.weight])
        return cls(Map.after_norm(norm, weight), attention.output.weight.T.contiguous(), attention.num_heads)


class FoldedEncoderLayer(NamedTuple):
    """One encoder layer."""

    attention: FoldedSelfAttention
    feed_forward: FoldedFeedForward

    @classmethod
    def of(cls, layer: EncoderLayer) -> "FoldedEncoderLayer":
        """The folded weights of the layer."""
        return cls(
            FoldedSelfAttention.of(layer.attention_norm, layer.attention),
            FoldedFeedForward.of(layer.feed_forward_norm, layer.feed_forward),
        )

    def __call__(
        self,
        states: Float[Tensor, "batch length width"],
        *,
        visible: Bool[Tensor, "batch 1 1 length"] | None,
        causal: bool,
    ) -> Float[Tensor, "batch length width"]:
        """The states after the layer, as `EncoderLayer` gives them without dropout."""
        mix, output, num_heads = self.attention
        shape, rows = states.shape, states.flatten(0, 1)
        query, key, value = mix(normed(rows)).view(*shape[:2], 3, num_heads, -1).permute(2, 0, 3, 1, 4)
        read = scaled_dot_product_attention(query, key, value, attn_mask=visible, is_causal=causal, scale=1.0)
        rows = torch.addmm(rows, read.transpose(1, 2).reshape(rows.shape), output)
        return self.feed_forward(rows).view(shape)


def normed(states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    """Mean 0 and variance 1 in each row; scale and shift are in the map that follows."""
    return layer_norm(states, states.shape[-1:])


def query_scale(attention: Attention) -> float:
    """One over the square root of the width of a head (Vaswani et al. 2017, 1706.03762, eq. 1)."""
    return 1 / math.sqrt(attention.query.in_features // attention.num_heads)
