"""History -> states: the causal encoder over items, and TIGER's bidirectional one over tokens."""

from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn

from genrec.generator.config import GeneratorConfig
from genrec.generator.layers import Dropout, EncoderLayer
from genrec.generator.shared_modules import twin_of
from genrec.generator.vocabulary import Vocabulary


class Encoded(NamedTuple):
    """A batch of histories, read once.

    `states` are what the decoder attends to; `summary` has one state per position from which a next item is
    predicted; `visible` says which states each position may read.
    """

    states: Float[Tensor, "batch length width"]
    summary: Float[Tensor, "batch positions width"]
    visible: Bool[Tensor, "#batch positions length"]


class ItemEmbedding(nn.Module):
    """Vector of an item: the sum of its codes' vectors, plus a learned vector of its own if `item_vectors`.

    An item that came after the training has the mean of all learned vectors for its own: what items have in common,
    which the encoder expects of each of them.
    """

    mean_item_vector: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(config.num_items, config.level_sizes)
        self.code_vectors = nn.Embedding(self.vocabulary.num_tokens, config.width)
        self.item_vectors = nn.Embedding(config.num_items, config.width) if config.item_vectors else None
        self.register_buffer("mean_item_vector", torch.zeros(config.width), persistent=False)

    def forward(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Vectors of the items in these rows; what padding (-1) gets is for the caller to mask."""
        vectors = self._of_tokens(self.vocabulary.tokens_of(rows))
        own = self.own_vectors(rows)
        return vectors if own is None else vectors + own

    def own_vectors(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"] | None:
        """The items' learned vectors, padding as in `forward`; None if items have no vectors of their own."""
        if self.item_vectors is None:
            return None
        rows = rows.clamp(min=0)
        if not len(self.vocabulary.added_codes):
            return self.item_vectors(rows)
        num_trained = self.item_vectors.num_embeddings
        learned = self.item_vectors(rows.clamp(max=num_trained - 1))
        return torch.where((rows < num_trained).unsqueeze(-1), learned, self.mean_item_vector)

    @torch.no_grad()
    def start_at(self, vectors: Float32[ndarray, "items width"]) -> None:
        """Begin the learning with these for the items' own vectors, if items have some."""
        if self.item_vectors is not None:
            self.item_vectors.weight.copy_(torch.from_numpy(vectors))

    @torch.no_grad()
    def add_items(self, codes: Int[Tensor, "items id_length"]) -> None:
        """Know items that came after the training by their codes, in the rows after all known ones."""
        self.vocabulary.add_codes(codes)
        self.mean_item_vector = self._mean_item_vector()

    @torch.no_grad()
    def with_items(self, codes: Int[Tensor, "items id_length"]) -> "ItemEmbedding":
        """An embedding that knows these items too, by the same weights; this one stays as it is."""
        grown = twin_of(self)
        grown.vocabulary = self.vocabulary.with_codes(codes)
        grown.mean_item_vector = self._mean_item_vector()
        return grown

    def by_content(self, *, first_row: int = 0) -> Float[Tensor, "items width"]:
        """Vectors of all items from that row on, late ones too, as if none had a learned vector of its own."""
        codes = torch.cat([self.vocabulary.item_codes, self.vocabulary.added_codes])[first_row:].long()
        return self._of_tokens(codes + self.vocabulary.offsets) + self.mean_item_vector

    def all(self) -> Float[Tensor, "items width"]:
        """Vectors of all items of the training, in row order."""
        return self(torch.arange(len(self.vocabulary.item_codes), device=self.code_vectors.weight.device))

    def _of_tokens(self, tokens: Int[Tensor, "*batch levels"]) -> Float[Tensor, "*batch width"]:
        """Sums of the levels' vectors; one level after the other, so that no gradient is copied once for each."""
        return reduce(torch.add, map(self.code_vectors, tokens.unbind(-1)))

    def _mean_item_vector(self) -> Float[Tensor, " width"]:
        if self.item_vectors is None:
            return torch.zeros_like(self.mean_item_vector)
        return self.item_vectors.weight.mean(0)


class CausalItemEncoder(nn.Module):
    """Reads one vector per item, each position seeing itself and what came before: all positions train at once."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.positions = nn.Embedding(config.max_items, config.width)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config.layer_shape) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, history: Int[Tensor, "batch items"], embedding: ItemEmbedding) -> Encoded:
        """States of the history; padding (-1) stands at the end, where causality already hides it."""
        states = self.embed(history, embedding)
        for layer in self.layers:
            states = layer(states, causal=True)
        return self.encoded(self.norm(states), history)

    def embed(
        self, history: Int[Tensor, "batch items"], embedding: ItemEmbedding
    ) -> Float[Tensor, "batch items width"]:
        """What enters the first layer."""
        places = torch.arange(history.shape[1], device=history.device)
        return self.dropout(embedding(history) + self.positions(places))

    def seen(self, history: Int[Tensor, "batch items"]) -> tuple[None, bool]:
        """Which states a position reads: a mask, here none, and whether only those up to itself."""
        return None, True

    def encoded(self, states: Float[Tensor, "batch items width"], history: Int[Tensor, "batch items"]) -> Encoded:
        """The last layer's states as a reading of the history."""
        places = torch.arange(history.shape[1], device=history.device)
        return Encoded(states, states, (places <= places[:, None])[None])

    def newest_places(self, history: Int[Tensor, "batch items"]) -> Int[Tensor, "batch positions"]:
        """Place of the newest item that each position has read."""
        return torch.arange(history.shape[1], device=history.device).expand_as(history)

    def newest(self, encoded: Encoded, history: Int[Tensor, "batch items"]) -> Encoded:
        """The same reading, seen from the newest item of each history only."""
        lengths = (history >= 0).sum(1)
        last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, encoded.states.shape[-1])
        visible = torch.arange(history.shape[1], device=history.device) < lengths[:, None]
        return Encoded(encoded.states, encoded.states.gather(1, last), visible[:, None])


class BidirectionalTokenEncoder(nn.Module):
    """Reads every code of every item as a token, in both directions; one target per history (TIGER, 2305.05065)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.num_levels = len(config.level_sizes)
        self.positions = nn.Embedding(config.max_items * self.num_levels, config.width)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config.layer_shape) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, history: Int[Tensor, "batch items"], embedding: ItemEmbedding) -> Encoded:
        """States of all tokens; the summary is their mean."""
        states = self.embed(history, embedding)
        visible, _ = self.seen(history)
        for layer in self.layers:
            states = layer(states, visible=visible)
        return self.encoded(self.norm(states), history)

    def embed(
        self, history: Int[Tensor, "batch items"], embedding: ItemEmbedding
    ) -> Float[Tensor, "batch tokens width"]:
        """What enters the first layer."""
        tokens = embedding.vocabulary.tokens_of(history)
        vectors = embedding.code_vectors(tokens)
        own = embedding.own_vectors(history)
        if own is not None:
            vectors = vectors + own.unsqueeze(-2)
        vectors = vectors.flatten(1, 2)
        return self.dropout(vectors + self.positions(torch.arange(vectors.shape[1], device=history.device)))

    def seen(self, history: Int[Tensor, "batch items"]) -> tuple[Bool[Tensor, "batch 1 1 tokens"], bool]:
        """Which states a position reads: a mask of what is no padding, and whether only those up to itself."""
        return self._known(history)[:, None, None], False

    def encoded(self, states: Float[Tensor, "batch tokens width"], history: Int[Tensor, "batch items"]) -> Encoded:
        """The last layer's states as a reading of the history."""
        known = self._known(history)
        weight = known.to(states.dtype).unsqueeze(-1)
        mean = (states * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        return Encoded(states, mean, known[:, None])

    def newest_places(self, history: Int[Tensor, "batch items"]) -> Int[Tensor, "batch positions"]:
        """Place of the newest item, which the one position has read."""
        return (history >= 0).sum(1, keepdim=True) - 1

    def newest(self, encoded: Encoded, history: Int[Tensor, "batch items"]) -> Encoded:
        """The reading itself: it is one of the newest position only."""
        return encoded

    def _known(self, history: Int[Tensor, "batch items"]) -> Bool[Tensor, "batch tokens"]:
        return (history >= 0).repeat_interleave(self.num_levels, dim=1)
