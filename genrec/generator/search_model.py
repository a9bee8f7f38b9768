"""The generator as a beam search runs it: the same function in fewer and larger products, with nothing copied per beam.

Beams are the query positions of the cross-attention, over one set of keys and values per user. Self-attention looks up
the few steps before in tables with one row for each beam of the step, by a beam's ancestors, so no cache is reordered.
What the first layer makes of a code before it looks at anything else is the same for every beam, and kept.
`Generator`'s own `read_history` and `next_code_logits` are the plain twins, equal up to float32 rounding.
"""

import copy
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn

from genrec.generator.encoder import Encoded
from genrec.generator.folded import (
    FoldedEncoderLayer,
    FoldedFeedForward,
    FoldedSelfAttention,
    Map,
    centred,
)
from genrec.generator.folded_cross_attention import FoldedCrossAttention, LongHistory, ShortHistory, ShortWeights
from genrec.generator.layers import DecoderLayer, EncoderLayer
from genrec.generator.model import Generator


class FoldedDecoderLayer(NamedTuple):
    """One decoder layer."""

    own: FoldedSelfAttention
    cross: FoldedCrossAttention
    feed_forward: FoldedFeedForward

    @classmethod
    def of(cls, layer: DecoderLayer) -> "FoldedDecoderLayer":
        """The folded weights of the layer."""
        return cls(
            FoldedSelfAttention.of(layer.self_norm, layer.self_attention),
            FoldedCrossAttention.of(layer.cross_norm, layer.cross_attention),
            FoldedFeedForward.of(layer.feed_forward_norm, layer.feed_forward),
        )


class ReadHistory(NamedTuple):
    """Encoded histories as the search keeps them, one entry per user."""

    start: Float[Tensor, "batch 1 width"]
    cross: tuple[ShortHistory | LongHistory, ...]


class KeyValue(NamedTuple):
    """Keys and values of one step in one layer, a row for each user and beam of that step."""

    keys: Float[Tensor, "rows width"]
    values: Float[Tensor, "rows width"]


class Written(NamedTuple):
    """What the steps so far have left; never changed, so that one can be gone on from several times."""

    key_values: tuple[tuple[KeyValue, ...], ...]
    """Per step, per layer."""
    ancestors: tuple[Int64[Tensor, " rows"], ...]
    """Per step but the last: the row there from which each row of the last step comes."""


class Inputs(NamedTuple):
    """What enters the first layer, a row for each user and beam."""

    rows: Float[Tensor, "rows width"]
    mixed: Float[Tensor, "rows 3*width"]
    """Its queries, keys and values."""


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
            self.layers = [
                FoldedDecoderLayer.of(layer) for layer in generator.layers if isinstance(layer, DecoderLayer)
            ]
            self.short = ShortWeights.of([layer.cross for layer in self.layers])
            self.heads = [
                Map.after_norm(generator.norm, head.weight, head.bias)
                for head in generator.heads
                if isinstance(head, nn.Linear)
            ]
            self.inputs = [torch.cat(self._inputs_of_codes(level), 1) for level in range(1, len(self.heads))]
            """Per level but the first, for each code of the level before it: its `Inputs` side by side."""

    def with_items(self, codes: Int[Tensor, "items id_length"]) -> "SearchModel":
        """A model that knows these items too, by the same folded weights (`Generator.with_items`); this one stays."""
        grown = copy.copy(self)
        grown.generator = self.generator.with_items(codes)
        known = grown.__dict__.pop("_content_vectors", None)
        # the first items that come later change the mean vector, and so what the content says of all
        if known is not None and len(self.generator.vocabulary.added_codes):
            with torch.no_grad():
                late = grown.generator.embedding.by_content(first_row=len(known))
                grown.__dict__["_content_vectors"] = torch.cat([known, late])
        return grown

    def read_history(self, history: Int[Tensor, "batch items"]) -> ReadHistory:
        """Encode every history once; rows oldest first, -1 at the end as padding, at least one item each."""
        return self.prepare_search(self.summarise(history))

    def summarise(self, history: Int[Tensor, "batch items"]) -> Encoded:
        """As `Generator.summarise`."""
        encoder = self.generator.encoder
        states = centred(encoder.embed(history, self.generator.embedding))
        visible, causal = encoder.seen(history)
        for layer in self.encoder_layers:
            states = layer(states, visible=visible, causal=causal)
        return encoder.newest(encoder.encoded(encoder.norm(states), history), history)

    def prepare_search(self, encoded: Encoded) -> ReadHistory:
        """What the search needs of an encoded history."""
        hidden = ~encoded.visible[:, 0, :]
        bias = encoded.states.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
        if self.num_heads * encoded.states.shape[1] <= 2 * self.width:
            return ReadHistory(encoded.summary, self.short.read(encoded.states, bias))
        return ReadHistory(encoded.summary, tuple(layer.cross.read(encoded.states, bias) for layer in self.layers))

    def item_logits(
        self, summary: Float[Tensor, "histories width"], history: Int[Tensor, "histories items_read"]
    ) -> Float[Tensor, "histories items"]:
        """As `Generator.item_logits`, without adding up the items' vectors again."""
        return self._with_repeats(summary @ self._item_vectors.T, history)

    def content_logits(
        self, summary: Float[Tensor, "histories width"], history: Int[Tensor, "histories items_read"]
    ) -> Float[Tensor, "histories items"]:
        """Score of every item, those that came after the training too, by what its codes alone say of it."""
        return self._with_repeats(summary @ self._content_vectors.T, history)

    def _with_repeats(
        self, logits: Float[Tensor, "histories items"], history: Int[Tensor, "histories items_read"]
    ) -> Float[Tensor, "histories items"]:
        repeat_bias = self.generator.repeat_bias
        return logits if repeat_bias is None else repeat_bias.added_to(logits, history)

    def next_code_logits(
        self,
        read: ReadHistory,
        written: Written | None,
        *,
        codes: Int[Tensor, "batch beams"] | None = None,
        parents: Int[Tensor, "batch beams"] | None = None,
    ) -> tuple[Float[Tensor, "batch beams level_size"], Written]:
        """As `Generator.next_code_logits`."""
        (rows, mixed), written = self._enter(read, written, codes, parents)
        shape = (len(read.start), len(rows) // len(read.start), self.width)
        # one room for all layers, one after the other: new memory costs more than the sums
        room = rows.new_empty(2, len(written.key_values) + 1, len(rows), self.width)
        kept = []
        for number, (layer, history) in enumerate(zip(self.layers, read.cross, strict=True)):
            if number:
                mixed = layer.own.mix(rows)
            query, *key_value = mixed.split(self.width, dim=1)
            kept.append(KeyValue(*key_value))
            past = [step[number] for step in written.key_values]
            rows = self._self_attention(layer.own, rows, query, [*past, kept[-1]], written.ancestors, room)
            rows = layer.cross.attended(rows.view(shape), history).flatten(0, 1)
            rows = layer.feed_forward(rows)
        logits = self.heads[len(written.key_values)](rows).view(*shape[:2], -1)
        return logits, Written((*written.key_values, tuple(kept)), written.ancestors)

    @cached_property
    def _item_vectors(self) -> Float[Tensor, "items width"]:
        with torch.no_grad():
            return self.generator.embedding.all()

    @cached_property
    def _content_vectors(self) -> Float[Tensor, "items width"]:
        with torch.no_grad():
            return self.generator.embedding.by_content()

    def _enter(
        self, read: ReadHistory, written: Written | None, codes: Tensor | None, parents: Tensor | None
    ) -> tuple[Inputs, Written]:
        """What enters the first layer, and the past with the ancestors of this step's beams."""
        if written is None or codes is None or parents is None:
            return self._inputs(read.start[:, 0] + self.generator.start.weight[0]), Written((), ())
        entering = self.inputs[len(written.key_values) - 1].index_select(0, codes.flatten())
        beams_before = len(written.key_values[-1][0].keys) // len(parents)
        users = torch.arange(0, len(parents) * beams_before, beams_before, device=parents.device)
        rows = (parents + users[:, None]).flatten()
        older = tuple(ancestors[rows] for ancestors in written.ancestors)
        inputs = Inputs(*entering.split([self.width, 3 * self.width], dim=1))
        return inputs, Written(written.key_values, (*older, rows))

    def _inputs_of_codes(self, level: int) -> Inputs:
        """For each code of the level before."""
        vocabulary = self.generator.vocabulary
        tokens = torch.arange(vocabulary.level_sizes[level - 1], device=self.generator.device)
        vectors = self.generator.embedding.code_vectors(tokens + vocabulary.offsets[level - 1])
        return self._inputs(vectors + self.generator.start.weight[level])

    def _inputs(self, states: Float[Tensor, "rows width"]) -> Inputs:
        states = centred(states)
        return Inputs(states, self.layers[0].own.mix(states))

    def _self_attention(
        self,
        weights: FoldedSelfAttention,
        rows: Float[Tensor, "rows width"],
        query: Float[Tensor, "rows width"],
        steps: list[KeyValue],
        ancestors: tuple[Int64[Tensor, " rows"], ...],
        room: Float[Tensor, "2 steps rows width"],
    ) -> Float[Tensor, "rows width"]:
        """The rows after it; this step's keys and values are the last.

        Plain sums, in `room`: for so few keys an attention kernel is slower.
        """
        if len(steps) == 1:
            return torch.addmm(rows, steps[0].values, weights.output)
        for place, tables in zip(room, zip(*steps, strict=True), strict=True):
            for step, row, to in zip(tables, ancestors, place, strict=False):
                torch.index_select(step, 0, row, out=to)
            place[-1] = tables[-1]
        keys, values = room.view(*room.shape[:3], self.num_heads, -1)
        share = keys.mul_(query.view(keys.shape[1:])).sum(-1, keepdim=True).softmax(0)
        return torch.addmm(rows, values.mul_(share).sum(0).flatten(1), weights.output)
