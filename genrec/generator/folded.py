"""Transformer layers with their weights put together for searching: fewer and larger products, the same function.

A layer norm's scale and shift and the attention's scale go into the product that follows them. What a layer adds to the
states has mean 0 over their width, by its weights, and so have the states that enter: then a layer norm, which does
not see a state's mean, is a division by the state's length. Matrices are (in, out) and contiguous, which small
products prefer.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import relu, scaled_dot_product_attention

from genrec.generator.layers import Attention, EncoderLayer, FeedForward


class Norm(NamedTuple):
    """A layer norm of states whose mean is 0, but for its scale and shift and the root of the width."""

    floor: Float[Tensor, ""]
    """The root of width * eps: the shortest length that a state is divided by."""

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> "Norm":
        """That of a layer norm."""
        return cls(norm.weight.new_tensor(math.sqrt(norm.weight.numel() * norm.eps)))

    def __call__(self, states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """The states, each of length 1."""
        return states / torch.hypot(vector_norm(states, dim=-1, keepdim=True), self.floor)


class Map(NamedTuple):
    """An affine map of normed row vectors."""

    norm: Norm
    matrix: Float[Tensor, "in out"]
    bias: Float[Tensor, " out"]

    @classmethod
    def after_norm(
        cls, norm: nn.LayerNorm, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
    ) -> "Map":
        """A layer norm followed by a linear layer."""
        shift = weight @ norm.bias
        scaled = weight * (norm.weight * math.sqrt(len(norm.weight)))
        return cls(Norm.of(norm), scaled.T.contiguous(), shift if bias is None else shift + bias)

    def __call__(self, rows: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
        """Each row normed and mapped."""
        return torch.addmm(self.bias, self.norm(rows), self.matrix)


class FoldedFeedForward(NamedTuple):
    """A norm and a feed-forward block."""

    expand: Map
    activation: Callable[[Tensor], Tensor]
    contract: Float[Tensor, "feed_forward width"]
    bias: Float[Tensor, " width"]

    @classmethod
    def of(cls, norm: nn.LayerNorm, block: FeedForward) -> "FoldedFeedForward":
        """The folded weights of both."""
        activation = torch.relu_ if block.activation is relu else block.activation
        return cls(
            Map.after_norm(norm, block.expand.weight, block.expand.bias),
            activation,
            centred(block.contract.weight.T).contiguous(),
            centred(block.contract.bias),
        )

    def __call__(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        """The rows and what the block adds to them."""
        return torch.addmm(rows, self.activation(self.expand(rows)), self.contract).add_(self.bias)


class FoldedSelfAttention(NamedTuple):
    """A norm and the queries, keys and values of one attention in one product, and its output map."""

    mix: Map
    output: Float[Tensor, "width width"]
    num_heads: int

    @classmethod
    def of(cls, norm: nn.LayerNorm, attention: Attention) -> "FoldedSelfAttention":
        """The folded weights of both; queries are scaled, so attend with scale 1."""
        weight = torch.cat([attention.query.weight * query_scale(attention), attention.key_value.weight])
        return cls(Map.after_norm(norm, weight), output_map(attention), attention.num_heads)


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
        """The states after the layer, as `EncoderLayer` gives them without dropout, but for their mean."""
        mix, output, num_heads = self.attention
        shape, rows = states.shape, states.flatten(0, 1)
        query, key, value = mix(rows).view(*shape[:2], 3, num_heads, -1).permute(2, 0, 3, 1, 4)
        read = scaled_dot_product_attention(query, key, value, attn_mask=visible, is_causal=causal, scale=1.0)
        rows = torch.addmm(rows, read.transpose(1, 2).reshape(rows.shape), output)
        return self.feed_forward(rows).view(shape)


def centred(states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    """Less the mean of each row: of states that enter the layers, and of matrices (in, out) that add to them."""
    return states - states.mean(-1, keepdim=True)


def output_map(attention: Attention) -> Float[Tensor, "width width"]:
    """What an attention's reading, all heads side by side, adds to the states; (in, out)."""
    return centred(attention.output.weight.T).contiguous()


def query_scale(attention: Attention) -> float:
    """One over the square root of the width of a head (Vaswani et al. 2017, 1706.03762, eq. 1)."""
    return 1 / math.sqrt(attention.query.in_features // attention.num_heads)
