"""The generator: an encoder reads a history, a decoder writes the next item's codes, level by level."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from genrec.generator.card import generator_card
from genrec.generator.config import GeneratorConfig
from genrec.generator.encoder import BidirectionalTokenEncoder, CausalItemEncoder, Encoded, ItemEmbedding
from genrec.generator.item_sample import ItemSample
from genrec.generator.item_softmax import ItemScores, Shifts
from genrec.generator.layers import DecoderLayer, Dropout, KeyValue
from genrec.generator.negatives import DecodedTargets, Negatives, negative_logits
from genrec.generator.repeats import RepeatBias
from genrec.generator.shared_modules import twin_of
from genrec.generator.vocabulary import Vocabulary
from genrec.model_card import CARD_FILE, TAGS


class Prediction(NamedTuple):
    """What the model says of every position that has a target, in the order of `targets[targets >= 0]`."""

    code_logits: tuple[Float[Tensor, "targets level_size"], ...]
    """One per level, given the target's true codes on the levels before."""
    items: ItemScores | None
    """Scores of the catalogue, or of its sample, by the encoder alone; None where not asked for."""
    negative_logits: tuple[Float[Tensor, "compared negatives _"], ...] | None = None
    """Of the levels after the first; None where not asked for."""


class ReadHistory(NamedTuple):
    """Encoded histories as the beam search keeps them: cross-attention keys and values, once per user."""

    start: Float[Tensor, "batch 1 width"]
    cross: tuple[KeyValue, ...]
    visible: Tensor


class Generator(PreTrainedModel):
    """Seq2seq transformer from item histories to semantic IDs.

    `forward` trains every position in one pass. The beam search uses `read_history` once per user and then
    `next_code_logits` level by level.
    """

    config_class = GeneratorConfig
    base_model_prefix = "generator"
    main_input_name = "history"
    model_tags = list(TAGS)  # noqa: RUF012
    # what FSDP shards by itself; decoder layers are asked for keys and values apart from their forward
    _no_split_modules = ["EncoderLayer"]  # noqa: RUF012

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        self.id_length = len(config.level_sizes)
        self.embedding = ItemEmbedding(config)
        encoders = {"causal_items": CausalItemEncoder, "bidirectional_tokens": BidirectionalTokenEncoder}
        self.encoder = encoders[config.encoder](config)
        self.start = nn.Embedding(self.id_length, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config.layer_shape) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleList(nn.Linear(config.width, size) for size in config.level_sizes)
        self.repeat_bias = RepeatBias(config.max_items) if config.repeat_bias else None
        self.dropout = Dropout(config.dropout)
        self.post_init()

    def get_input_embeddings(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """None: what it reads are items, which no single table of vectors stands for."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of every item; `set_codes` must be called once before training."""
        return self.embedding.vocabulary

    @property
    def _decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def forward(
        self,
        history: Int[Tensor, "batch items"],
        targets: Int[Tensor, "batch positions"],
        *,
        with_items: bool = False,
        sample: ItemSample | None = None,
        negatives: Negatives | None = None,
    ) -> Prediction:
        """Teacher-forced prediction of `targets`, item rows with -1 where there is none.

        `with_items`: score the catalogue, or its `sample`, by the encoder alone.
        `targets[b, p]` follows `history[b, p]` under the causal encoder; the bidirectional one has one position.
        """
        encoded = self.encoder(history, self.embedding)
        inputs = self._decoder_inputs(encoded.summary, self.vocabulary.codes_of(targets)[..., :-1])
        visible = encoded.visible.repeat_interleave(self.id_length, dim=1)[:, None]
        states, cross, own = inputs, [], []
        for layer in self._decoder_layers:
            cross.append(layer.cross_attention.project(encoded.states))
            states, written = layer(states, cross[-1], visible=visible)
            own.append(written)
        has_target = targets >= 0
        states = self.dropout(self.norm(states[has_target]))
        code_logits = tuple(head(states[:, level]) for level, head in enumerate(self.heads))
        items = self._item_scores(encoded.summary, history, targets, sample) if with_items else None
        if negatives is None:
            return Prediction(code_logits, items)
        decoded = DecodedTargets(cross, own, encoded.visible)
        return Prediction(code_logits, items, negative_logits(self, decoded, negatives, has_target))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], is_main_process: bool = True, *args: Any, **kwargs: Any
    ) -> None:
        """As transformers does, and a model card beside the weights, unless there is one already."""
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        path = Path(save_directory) / CARD_FILE
        if is_main_process and not path.exists():
            assert isinstance(self.config, GeneratorConfig)
            parameters = sum(parameter.numel() for parameter in self.parameters())
            path.write_text(generator_card(self.config, parameters=parameters), encoding="utf-8")

    def _item_scores(
        self,
        summary: Float[Tensor, "batch positions width"],
        history: Int[Tensor, "batch items"],
        targets: Int[Tensor, "batch positions"],
        sample: ItemSample | None,
    ) -> ItemScores:
        has_target = targets >= 0
        states, shifts = self.dropout(summary[has_target]), []
        vectors = self.embedding.all() if sample is None else self.embedding(sample.rows)
        if self.repeat_bias is not None:
            read, newest = history[has_target.nonzero()[:, 0]], self.encoder.newest_places(history)[has_target]
            places = read if sample is None else sample.places_of(read)
            shifts.append(self.repeat_bias(places, newest, num_items=len(vectors)))
        if sample is not None:
            own = sample.places_of(targets[has_target])[:, None]
            shifts.append(Shifts(own, sample.log_inclusion[own]))
            states = torch.cat([states, states.new_ones(len(states), 1)], dim=1)
            vectors = torch.cat([vectors, -sample.log_inclusion[:, None]], dim=1)
        return ItemScores(states, vectors, Shifts.joined(shifts))

    def add_items(self, codes: Int[Tensor, "items id_length"]) -> None:
        """Read and write items that came after the training, in the rows after all known ones.

        Weights stay as they are, and saving leaves these items out. Raises ValueError for codes outside their levels.
        """
        self.embedding.add_items(codes)

    def with_items(self, codes: Int[Tensor, "items id_length"]) -> "Generator":
        """A generator that knows these items too, as `add_items` adds them; this one stays as it is.

        All weights are shared, so the cost is that of the item codes alone.
        """
        grown = twin_of(self)
        grown.embedding = self.embedding.with_items(codes)
        return grown

    def item_logits(
        self, summary: Float[Tensor, "histories width"], history: Int[Tensor, "histories items_read"]
    ) -> Float[Tensor, "histories items"]:
        """Score of every item of the training as the next one, by the encoder's state alone.

        `summary`: as seen from the newest item of each history, whose items would be repeats.
        """
        logits = self.dropout(summary) @ self.embedding.all().T
        return logits if self.repeat_bias is None else self.repeat_bias.added_to(logits, history)

    def read_history(self, history: Int[Tensor, "batch items"]) -> ReadHistory:
        """Encode every history once; rows oldest first, -1 at the end as padding, at least one item each."""
        return self.prepare_search(self.summarise(history))

    def summarise(self, history: Int[Tensor, "batch items"]) -> Encoded:
        """The histories as seen from their newest item: `summary` is (batch, 1, width)."""
        return self.encoder.newest(self.encoder(history, self.embedding), history)

    def prepare_search(self, encoded: Encoded) -> ReadHistory:
        """Cross-attention keys and values of an encoded history."""
        cross = tuple(layer.cross_attention.project(encoded.states) for layer in self._decoder_layers)
        return ReadHistory(encoded.summary, cross, encoded.visible[:, None])

    def next_code_logits(
        self,
        read: ReadHistory,
        written: tuple[KeyValue, ...] | None,
        *,
        codes: Int[Tensor, "batch beams"] | None = None,
        parents: Int[Tensor, "batch beams"] | None = None,
    ) -> tuple[Float[Tensor, "batch beams level_size"], tuple[KeyValue, ...]]:
        """Logits of the next level for every beam, and the cache for the level after.

        The first call has neither `written` nor `codes` and answers for one beam, the root. Later ones give the cache
        of the call before, the code that each beam chose, and the beam of that call from which it grew.
        """
        level = 0
        states = read.start[:, :, None] + self.start.weight[0]
        past: list[KeyValue | None] = [None] * len(self.layers)
        if written is not None and codes is not None and parents is not None:
            level = written[0].keys.shape[3]
            tokens = codes + self.vocabulary.offsets[level - 1]
            states = (self.embedding.code_vectors(tokens) + self.start.weight[level]).unsqueeze(2)
            past = [_gather_beams(cache, parents) for cache in written]
        caches = []
        for layer, cross, cache in zip(self._decoder_layers, read.cross, past, strict=True):
            states, cache = layer(states, cross, visible=read.visible, past=cache)
            caches.append(cache)
        return self.heads[level](self.norm(states[:, :, 0])), tuple(caches)

    def _decoder_inputs(
        self, summary: Float[Tensor, "batch positions width"], codes: Int[Tensor, "batch positions written"]
    ) -> Float[Tensor, "batch positions id_length width"]:
        tokens = codes + self.vocabulary.offsets[:-1]
        inputs = torch.cat([summary.unsqueeze(2), self.embedding.code_vectors(tokens)], dim=2)
        return self.dropout(inputs + self.start.weight)


def _gather_beams(cache: KeyValue, parents: Int[Tensor, "batch beams"]) -> KeyValue:
    users = torch.arange(len(parents), device=parents.device)[:, None]
    return KeyValue(cache.keys[users, parents], cache.values[users, parents])


transformers_logging.disable_progress_bar()  # a bar for one small file drowns our own progress
AutoConfig.register("genrec", GeneratorConfig)
AutoModel.register(GeneratorConfig, Generator)
