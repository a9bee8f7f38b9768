"""TIGER: transformers' T5 from semantic IDs to semantic IDs (Rajput et al. 2023, 2305.05065).

The encoder reads every code of the newest items as a token, the decoder writes the codes of the next item; every
target has a row of its own. Sizes are the paper's, the optimiser is that of the best independently verified recipe,
and there is no token for the user. Items of the history are filtered out of what the beams end at, as it is usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import T5Config, T5ForConditionalGeneration

from genrec.baselines.tiger_decoding import searched_by_generate, searched_by_trie
from genrec.baselines.tiger_tokens import EOS, PADDING_TOKEN, CodeTokens
from genrec.baselines.trained import CodedItems, Content, as_float32, device_of
from genrec.data.batches import Batch, Windows, history_batch, prefix_windows
from genrec.data.interactions import Interactions
from genrec.data.splits import Splits
from genrec.training.loop_config import LoopConfig
from genrec.training.objective import Losses, Objective, Whole
from genrec.training.optimizer import OptimizerConfig


def _training() -> LoopConfig:
    return LoopConfig(
        epochs=30,
        batch_size=256,
        validate_every_epochs=1,
        patience=30,
        validation_users=1000,
        optimizer=OptimizerConfig(learning_rate=3e-4, weight_decay=0.035, warmup_steps=500),
    )


@dataclass(frozen=True)
class TIGERConfig:
    """The T5's sizes, how it is decoded, and its training."""

    width: int = 128
    num_layers: int = 4
    """Of the encoder, and as many of the decoder."""
    num_heads: int = 6
    head_dim: int = 64
    feed_forward_dim: int = 1024
    dropout: float = 0.1
    max_items: int = 20
    """Of the history that is read."""
    beam_size: int = 50
    decoding: Literal["trie", "generate"] = "trie"
    """Whose loop searches the beams: `trie.TrieBeamSearch`, or transformers' own, kept inside the trie by
    `trie.TrieLogitsProcessor`. The lists are the same, the first comes several times as fast."""
    training: LoopConfig = field(default_factory=_training)

    def __post_init__(self) -> None:
        for name in ("width", "num_layers", "num_heads", "head_dim", "feed_forward_dim", "max_items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.beam_size < 20:
            raise ValueError(f"beam_size must be at least 20, since recall@20 is reported; got {self.beam_size}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    def build(self, num_items: int, coded: CodedItems | None, content: Content | None = None) -> "TIGER":
        """An untrained model, which knows the items' codes."""
        if coded is None:
            raise ValueError("TIGER reads and writes semantic IDs: expected the items' codes and their trie, got None")
        return TIGER(self, coded)

    def windows(self, interactions: Interactions, splits: Splits) -> Windows:
        """One row per target."""
        return prefix_windows(interactions.offsets[:-1], splits.train_end, max_items=self.max_items)

    def objective(self) -> Objective:
        """The codes of the target."""
        return CodeObjective()


class CodePrediction(NamedTuple):
    """What the model says of every target, each code given its true codes before."""

    logits: Float[Tensor, "batch levels tokens"]
    tokens: Int[Tensor, "batch levels"]
    """The target's."""


class TIGER(nn.Module):
    """A T5 and the tokens of every item."""

    def __init__(self, config: TIGERConfig, coded: CodedItems) -> None:
        super().__init__()
        self.config = config
        self.prefix_trie = coded.prefix_trie
        self.tokens = CodeTokens(coded.semantic_ids)
        self.t5 = _new_t5(config, self.tokens.num_tokens)

    def forward(self, history: Int[Tensor, "batch items"], targets: Int[Tensor, "batch 1"]) -> CodePrediction:
        """Logits of the targets' codes after histories of item rows, oldest first and padded with -1 at the end."""
        read, wanted = self.tokens.of_histories(history), self.tokens.of_items(targets[:, 0])
        start = torch.full_like(wanted[:, :1], PADDING_TOKEN)
        output = self.t5(
            input_ids=read,
            attention_mask=(read != PADDING_TOKEN).long(),
            decoder_input_ids=torch.cat([start, wanted[:, :-1]], dim=1),
            use_cache=False,
        )
        return CodePrediction(output.logits, wanted)

    @torch.inference_mode()
    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """Log-probability of the items that the beams end at, -inf of all others.

        Items that share a semantic ID score the same.
        """
        history = history_batch(histories, max_items=self.config.max_items).to(device_of(self))
        search = searched_by_trie if self.config.decoding == "trie" else searched_by_generate
        found = search(
            self.t5, self.tokens.of_histories(history), self.prefix_trie, self.tokens, beam_size=self.config.beam_size
        )
        return as_float32(found)


class CodeObjective:
    """Cross-entropy over all tokens: the mean over the codes of a target, as T5's own loss."""

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """In nats, summed over the targets."""
        logits, tokens = model(*batch)
        by_code = cross_entropy(logits.transpose(1, 2), tokens, reduction="none").sum(0)
        levels = {f"nll_level_{level}": nll for level, nll in enumerate(by_code.detach(), start=1)}
        return Losses(by_code.mean(), levels)


def _new_t5(config: TIGERConfig, num_tokens: int) -> T5ForConditionalGeneration:
    """T5 ties input and output vectors and scales the output by width**-0.5 to match; every other choice is named."""
    t5 = T5ForConditionalGeneration(
        T5Config(
            vocab_size=num_tokens,
            d_model=config.width,
            d_kv=config.head_dim,
            d_ff=config.feed_forward_dim,
            num_layers=config.num_layers,
            num_decoder_layers=config.num_layers,
            num_heads=config.num_heads,
            dropout_rate=config.dropout,
            feed_forward_proj="relu",
            pad_token_id=PADDING_TOKEN,
            eos_token_id=EOS,
        )
    )
    assert t5.generation_config is not None
    t5.generation_config.decoder_start_token_id = PADDING_TOKEN
    return t5
