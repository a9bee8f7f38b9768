"""The generator as a beam search runs it: the same function in fewer and larger products, with nothing copied per beam.

Beams are the query positions of the cross-attention, over one set of keys and values per user; where histories are
short, the query and output maps go into these. Self-attention looks up the few steps before in tables with one row
for each beam of the step, by a beam's ancestors, so no cache is reordered. `Generator`'s own `read_history` and
`next_code_logits` are the plain twins, equal up to float32 rounding.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from genrec.generator.encoder import Encoded
from genrec.generator.folded import (
    FoldedEncoderLayer,
    FoldedFeedForward,
    FoldedSelfAttention,
    Map,
    normed,
    query_scale,
)
from genrec.generator.layers import DecoderLayer, EncoderLayer
from genrec.generator.model import Generator


class CrossWeights(NamedTuple):
    """A layer's cross-attention, whole for long histories, and folded into keys and values for short ones."""

    query: Map
    key_value: Float[Tensor, "width 2*width"]
    output: Float[Tensor, "width width"]
    short_key: Float[Tensor, "width heads*width"]
    """What makes of a history's state, for each head, that with which a beam's state is multiplied."""
    short_bias: Float[Tensor, "width heads"]
    """What makes of it the part of the score that does not depend on the beam."""
    short_value: Float[Tensor, "width heads*width"]
    """What makes of it that which a head that looks at it adds to a beam's state."""


class FoldedDecoderLayer(NamedTuple):
    """One decoder layer."""

    own: FoldedSelfAttention
    cross: CrossWeights
    feed_forward: FoldedFeedForward


class ShortHistory(NamedTuple):
    """A layer's cross-attention as two products with the beams' states: scores of every head and state, and outputs."""

    keys: Float[Tensor, "batch heads*states width"]
    bias: Float[Tensor, "batch 1 heads*states"]
    """-inf where a state is padding."""
    values: Float[Tensor, "batch heads*states width"]


class LongHistory(NamedTuple):
    """A layer's keys and values, where folding them would make more work than it saves."""

    keys: Float[Tensor, "batch heads states head_dim"]
    values: Float[Tensor, "batch heads states head_dim"]
    bias: Float[Tensor, "batch 1 1 states"]


class ReadHistory(NamedTuple):
    """Encoded histories as the search keeps them, one entry per user."""

    start: Float[Tensor, "batch 1 width"]
    cross: tuple[ShortHistory | LongHistory, ...]


class Written(NamedTuple):
    """What the steps so far have left; never changed, so that one can be gone on from several times."""

    key_values: tuple[tuple[Float[Tensor, "_ 2*width"], ...], ...]
    """Per step, per layer: a row for each user and beam of that step."""
    ancestors: tuple[Int64[Tensor, " rows"], ...]
    """Per step but the last: the row there from which each row of the last step comes."""


class SearchModel:
    """A generator made ready for searching; a `CodeModel` (genrec.generator.beam_search).

    Holds folded copies of the weights: make a new one when the generator has learned more.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.num_heads = generator.config.num_heads
        self.width = generator.config.width
        with torch.no_grad():
            self.encoder_layers = [
                FoldedEncoderLayer.of(layer) for layer in generator.encoder.layers if isinstance(layer, EncoderLayer)
            ]
            self.layers = [_folded(layer) for layer in generator.layers if isinstance(layer, DecoderLayer)]
            self.heads = [
                Map.after_norm(generator.norm, head.weight, head.bias)
                for head in generator.heads
                if isinstance(head, nn.Linear)
            ]

    def read_history(self, history: Int[Tensor, "batch items"]) -> ReadHistory:
        """Encode every history once; rows oldest first, -1 at the end as padding, at least one item each."""
        return self.prepare_search(self.summarise(history))

    def summarise(self, history: Int[Tensor, "batch items"]) -> Encoded:
        """As `Generator.summarise`."""
        encoder = self.generator.encoder
        states = encoder.embed(history, self.generator.embedding)
        visible, causal = encoder.seen(history)
        for layer in self.encoder_layers:
            states = layer(states, visible=visible, causal=causal)
        return encoder.newest(encoder.encoded(encoder.norm(states), history), history)

    def prepare_search(self, encoded: Encoded) -> ReadHistory:
        """What the search needs of an encoded history."""
        hidden = ~encoded.visible[:, 0, :]
        bias = encoded.states.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
        is_short = self.num_heads * encoded.states.shape[1] <= 2 * self.width
        read = self._short if is_short else self._long
        return ReadHistory(encoded.summary, tuple(read(layer.cross, encoded.states, bias) for layer in self.layers))

    def next_code_logits(
        self,
        read: ReadHistory,
        written: Written | None,
        *,
        codes: Int[Tensor, "batch beams"] | None = None,
        parents: Int[Tensor, "batch beams"] | None = None,
    ) -> tuple[Float[Tensor, "batch beams level_size"], Written]:
        """As `Generator.next_code_logits`."""
        states, written = self._inputs(read, written, codes, parents)
        shape, rows = states.shape, states.flatten(0, 1)
        kept = []
        # one room for all layers, one after the other: at large batches new memory costs more than the sums
        room = rows.new_empty(len(written.key_values) + 1, len(rows), 2 * self.width)
        for number, (layer, history) in enumerate(zip(self.layers, read.cross, strict=True)):
            for step, row, seen in zip(written.key_values, written.ancestors, room, strict=False):
                torch.index_select(step[number], 0, row, out=seen)
            rows, key_value = self._self_attention(layer.own, rows, room)
            rows = self._cross_attention(layer.cross, rows.view(shape), history).flatten(0, 1)
            rows = layer.feed_forward(rows)
            kept.append(key_value)
        logits = self.heads[len(written.key_values)](normed(rows)).view(*shape[:2], -1)
        return logits, Written((*written.key_values, tuple(kept)), written.ancestors)

    def _inputs(
        self, read: ReadHistory, written: Written | None, codes: Tensor | None, parents: Tensor | None
    ) -> tuple[Float[Tensor, "batch beams width"], Written]:
        """The states that enter the first layer, and the past with the ancestors of this step's beams."""
        start = self.generator.start.weight
        if written is None or codes is None or parents is None:
            return read.start + start[0], Written((), ())
        level = len(written.key_values)
        states = self.generator.embedding.code_vectors(codes + self.generator.vocabulary.offsets[level - 1])
        beams_before = len(written.key_values[-1][0]) // len(parents)
        users = torch.arange(len(parents), device=parents.device)[:, None]
        rows = (parents + users * beams_before).flatten()
        older = tuple(ancestors[rows] for ancestors in written.ancestors)
        return states + start[level], Written(written.key_values, (*older, rows))

    def _self_attention(
        self,
        weights: FoldedSelfAttention,
        rows: Float[Tensor, "rows width"],
        room: Float[Tensor, "steps rows 2*width"],
    ) -> tuple[Float[Tensor, "rows width"], Float[Tensor, "rows 2*width"]]:
        """The rows after it, and this step's keys and values; `room` holds those of the steps before.

        Plain sums: for so few keys an attention kernel is slower.
        """
        query, key_value = weights.mix(normed(rows)).split([self.width, 2 * self.width], dim=1)
        if len(room) == 1:
            return torch.addmm(rows, key_value[:, self.width :], weights.output), key_value
        room[-1] = key_value
        keys, values = room.view(*room.shape[:2], 2, self.num_heads, -1).unbind(2)
        share = (query.view(len(rows), self.num_heads, -1) * keys).sum(-1, keepdim=True).softmax(0)
        read = (share * values).sum(0).flatten(1)
        return torch.addmm(rows, read, weights.output), key_value

    def _cross_attention(
        self,
        weights: CrossWeights,
        states: Float[Tensor, "batch beams width"],
        history: ShortHistory | LongHistory,
    ) -> Float[Tensor, "batch beams width"]:
        if isinstance(history, ShortHistory):
            scores = torch.baddbmm(history.bias, normed(states), history.keys.transpose(1, 2))
            share = scores.unflatten(-1, (self.num_heads, -1)).softmax(-1).flatten(2)
            return torch.baddbmm(states, share, history.values)
        rows = states.flatten(0, 1)
        query = self._by_head(weights.query(normed(rows)).view(states.shape))
        read = scaled_dot_product_attention(query, history.keys, history.values, attn_mask=history.bias, scale=1.0)
        return torch.addmm(rows, read.transpose(1, 2).reshape(rows.shape), weights.output).view(states.shape)

    def _short(
        self, weights: CrossWeights, states: Float[Tensor, "batch length width"], bias: Float[Tensor, "batch length"]
    ) -> ShortHistory:
        keys, values = (
            (states @ matrix).unflatten(-1, (self.num_heads, -1)).transpose(1, 2).flatten(1, 2)
            for matrix in (weights.short_key, weights.short_value)
        )
        scores = (states @ weights.short_bias).transpose(1, 2) + bias[:, None]
        return ShortHistory(keys, scores.flatten(1)[:, None], values)

    def _long(
        self, weights: CrossWeights, states: Float[Tensor, "batch length width"], bias: Float[Tensor, "batch length"]
    ) -> LongHistory:
        keys, values = (states @ weights.key_value).chunk(2, dim=-1)
        return LongHistory(self._by_head(keys), self._by_head(values), bias[:, None, None])

    def _by_head(self, states: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch heads length head_dim"]:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _folded(layer: DecoderLayer) -> FoldedDecoderLayer:
    cross = layer.cross_attention
    query = Map.after_norm(layer.cross_norm, cross.query.weight * query_scale(cross))
    key, value = (part.unflatten(0, (cross.num_heads, -1)) for part in cross.key_value.weight.chunk(2))
    output = cross.output.weight.unflatten(1, (cross.num_heads, -1))
    return FoldedDecoderLayer(
        FoldedSelfAttention.of(layer.self_norm, layer.self_attention),
        CrossWeights(
            query,
            cross.key_value.weight.T.contiguous(),
            cross.output.weight.T.contiguous(),
            short_key=torch.einsum("hdi,whd->ihw", key, query.matrix.unflatten(1, (cross.num_heads, -1))).flatten(1),
            short_bias=torch.einsum("hdi,hd->ih", key, query.bias.unflatten(0, (cross.num_heads, -1))),
            short_value=torch.einsum("hdi,whd->ihw", value, output).flatten(1),
        ),
        FoldedFeedForward.of(layer.feed_forward_norm, layer.feed_forward),
    )
