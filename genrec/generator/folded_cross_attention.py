"""Cross-attention of beams over encoded histories, with its weights put together for searching.

Beams are the query positions, over one set of keys and values per user. Where histories are short, the query and
output maps go into these: a layer is then two products, whose keys and values are as wide as the model for each head.
"""

from collections.abc import Sequence
from itertools import starmap
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from genrec.generator.folded import Map, output_map, query_scale
from genrec.generator.layers import Attention


class ShortHistory(NamedTuple):
    """A layer's cross-attention as two products with the beams' states: scores of every head and state, and outputs."""

    keys: Float[Tensor, "batch width heads*states"]
    bias: Float[Tensor, "batch 1 heads*states"]
    """-inf where a state is padding."""
    values: Float[Tensor, "batch heads*states width"]


class LongHistory(NamedTuple):
    """A layer's keys and values, where folding them would make more work than it saves."""

    keys: Float[Tensor, "batch heads states head_dim"]
    values: Float[Tensor, "batch heads states head_dim"]
    bias: Float[Tensor, "batch 1 1 states"]


class FoldedCrossAttention(NamedTuple):
    """A norm and one layer's cross-attention."""

    query: Map
    key_value: Float[Tensor, "width 2*width"]
    output: Float[Tensor, "width width"]
    num_heads: int

    @classmethod
    def of(cls, norm: nn.LayerNorm, attention: Attention) -> "FoldedCrossAttention":
        """The folded weights of both; queries are scaled, so attend with scale 1."""
        query = Map.after_norm(norm, attention.query.weight * query_scale(attention))
        return cls(query, attention.key_value.weight.T.contiguous(), output_map(attention), attention.num_heads)

    def read(self, states: Float[Tensor, "batch length width"], bias: Float[Tensor, "batch length"]) -> LongHistory:
        """Keys and values of encoded histories; the bias is -inf where a state is padding, and else 0."""
        keys, values = (states @ self.key_value).chunk(2, dim=-1)
        return LongHistory(self._by_head(keys), self._by_head(values), bias[:, None, None])

    def attended(
        self, states: Float[Tensor, "batch beams width"], history: ShortHistory | LongHistory
    ) -> Float[Tensor, "batch beams width"]:
        """The beams' states and what they read."""
        if isinstance(history, ShortHistory):
            scores = torch.baddbmm(history.bias, self.query.norm(states), history.keys)
            share = scores.unflatten(-1, (self.num_heads, -1)).softmax(-1).flatten(2)
            return torch.baddbmm(states, share, history.values)
        rows = states.flatten(0, 1)
        query = self._by_head(self.query(rows).view(states.shape))
        read = scaled_dot_product_attention(query, history.keys, history.values, attn_mask=history.bias, scale=1.0)
        return torch.addmm(rows, read.transpose(1, 2).reshape(rows.shape), self.output).view(states.shape)

    def _by_head(self, states: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch heads length head_dim"]:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class ShortWeights(NamedTuple):
    """The cross-attention of all layers, folded into keys and values of short histories."""

    key_value: Float[Tensor, "width layers*2*heads*width"]
    """What makes of a history's state, for each head, that with which a beam's state is multiplied, and that which a
    head that looks at it adds to a beam's state."""
    bias: Float[Tensor, "width layers*heads"]
    """What makes of it the part of the score that does not depend on the beam."""
    num_heads: int

    @classmethod
    def of(cls, layers: Sequence[FoldedCrossAttention]) -> "ShortWeights":
        """The query maps folded into the keys, and the output maps into the values."""
        key_values, biases = [], []
        for query, key_value, output, heads in layers:
            key, value = key_value.unflatten(1, (2, heads, -1)).unbind(1)
            keys = torch.einsum("ihd,whd->ihw", key, query.matrix.unflatten(1, (heads, -1)))
            values = torch.einsum("ihd,hdw->ihw", value, output.unflatten(0, (heads, -1)))
            key_values.append(torch.stack([keys, values], dim=1).flatten(1))
            biases.append(torch.einsum("ihd,hd->ih", key, query.bias.unflatten(0, (heads, -1))))
        return cls(torch.cat(key_values, 1), torch.cat(biases, 1), layers[0].num_heads)

    def read(
        self, states: Float[Tensor, "batch length width"], bias: Float[Tensor, "batch length"]
    ) -> tuple[ShortHistory, ...]:
        """Each layer's keys and values of encoded histories; the bias is -inf where a state is padding, and else 0."""
        heads, (batch, length, width) = self.num_heads, states.shape
        layers = self.bias.shape[1] // heads
        mixed = (states @ self.key_value).view(batch, length, layers, 2, heads, width)
        keys, values = mixed.permute(3, 2, 0, 4, 1, 5).reshape(2, layers, batch, heads * length, width)
        scores = (states @ self.bias).view(batch, length, layers, heads).permute(2, 0, 3, 1) + bias[:, None]
        biases = scores.reshape(layers, batch, 1, heads * length)
        return tuple(starmap(ShortHistory, zip(keys.transpose(2, 3), biases, values, strict=True)))
