"""TrieBeamSearch: the beam search of this package for the language models that transformers' `generate` runs.

    import numpy as np
    import torch
    from transformers import T5Config, T5ForConditionalGeneration
    from trie import DenyRows, PrefixTrie, TrieBeamSearch

    config = T5Config(
        vocab_size=6, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    model = T5ForConditionalGeneration(config).eval()
    history = torch.tensor([[2, 4, 3, 5], [3, 5, 1, 0]])  # of two users, in the model's tokens
    mask = (history != 0).long()

    codes = np.array([[0, 0], [0, 1], [1, 1]])  # of rows 0, 1, 2
    token_ids = [[2, 3], [4, 5]]  # token_ids[level][code]
    trie = PrefixTrie.from_codes(codes).to(model.device)
    search = TrieBeamSearch(trie, token_ids, eos_token_id=1)

    # token sequences, as generate returns them
    sequences = model.generate(
        history, attention_mask=mask, custom_generate=search, num_beams=3, num_return_sequences=2, max_new_tokens=2
    )
    # rows of the catalogue with their scores, without what each user has seen
    seen = DenyRows.from_rows(trie, [[0], []])
    leaves = search.leaves(model, inputs=history, attention_mask=mask, beam_size=3, filters=seen)

The encoder, or the prompt, is read once per user, the first code is chosen from one row per user, and the cache is the
model's own. `trie.share_cross_attention(model)` makes an encoder-decoder twice as fast again (measured on one CPU
thread with a T5 of 4 + 4 layers that reads 80 tokens, and 20 or 50 beams).
"""

from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn.functional import pad
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.logits_process import ForcedBOSTokenLogitsProcessor, PrefixConstrainedLogitsProcessor
from transformers.generation.utils import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateBeamOutput,
)

from trie.filters import Filter, with_stock
from trie.running_model import RunningModel
from trie.step import Beams, Leaves, items, start, step
from trie.token_ids import TokenIds, check_vocabulary, checked_token_ids
from trie.torch_trie import TorchTrie

RIVALS = {
    PrefixConstrainedLogitsProcessor: "prefix_allowed_tokens_fn",
    ForcedBOSTokenLogitsProcessor: "forced_bos_token_id (give None)",
}
"""Processors that leave no token of an ID, and the settings that they come from."""


class TrieBeamSearch:
    """Beam search inside a trie, as `model.generate(..., custom_generate=TrieBeamSearch(...), num_beams=beam_size)`.

    It takes every text model, encoder-decoder or decoder-only, whose IDs are tokens of its vocabulary. Every beam can
    finish, also under filters and in a catalogue that is smaller than the beam.
    """

    def __init__(
        self,
        trie: TorchTrie,
        token_ids: TokenIds,
        *,
        eos_token_id: int | None = None,
        score: Literal["vocabulary", "joint", "catalog"] = "vocabulary",
    ):
        """`trie`: on the device of the model's inputs.

        `token_ids[level][code]`: the model's token of a code; that of a stop code is `eos_token_id`, and may be left
        out. `eos_token_id`: what ends an ID; None: nothing does, and the trie has no stop codes. `score`: "vocabulary"
        normalises over all the model's tokens, as `generate` does; "joint" and "catalog": as in `trie.step`, over a
        level's codes or a prefix's children.
        """
        if score not in ("vocabulary", "joint", "catalog"):
            raise ValueError(f'score must be "vocabulary", "joint" or "catalog"; got {score!r}')
        self.trie = trie
        self.eos_token_id = eos_token_id
        self.score = score
        self._step_score: Literal["joint", "catalog", "given"] = "given" if score == "vocabulary" else score
        tokens_by_level = checked_token_ids(trie.trie, token_ids, eos_token_id)
        self._highest_token = max(eos_token_id or 0, *(int(tokens.max()) for tokens in tokens_by_level))
        self._token_ids = [tokens.to(trie.device) for tokens in tokens_by_level]

    def __call__(
        self,
        model: Any,
        input_ids: Int64[Tensor, "rows prompt"],
        logits_processor: LogitsProcessorList,
        stopping_criteria: Any,
        generation_config: GenerationConfig,
        filters: Filter | None = None,
        **model_kwargs: Any,
    ) -> GenerateBeamOutput | Int64[Tensor, "sequences tokens"]:
        """What `generate` calls. `filters` is handed on by `generate(..., filters=...)`.

        It returns what `generate` does: `num_return_sequences` sequences for each user, best first. With
        `return_dict_in_generate` there is `sequences_scores` too: the log-probability of all generated tokens, over
        their number to the power of `length_penalty` (default 1), so that IDs with stop codes are ranked by their mean.
        Where `eos_token_id` is known and `max_new_tokens` leaves room for it, it ends every sequence, and its
        log-probability counts; this costs one more call of the model, but not with "joint" and "catalog", where it is
        certain. A user with fewer allowed IDs gets prompts with nothing but padding, and scores of -inf, at the end.
        Logits processors apply as they do in `generate`, and see one row for each beam that there is. Stopping criteria
        are not asked: nothing is complete before the last level.

        ValueError for settings that the search cannot follow: sampling, `prefix_allowed_tokens_fn`, outputs of every
        step, and a `max_new_tokens` that an ID does not fit into.
        """
        room = self._checked_room(generation_config, input_ids)
        running = RunningModel(model, input_ids, model_kwargs, copies=_copies(generation_config))
        beams = self._search(running, logits_processor, beam_size=generation_config.num_beams, filters=filters)
        score = beams.score
        if self.eos_token_id is not None and room > self.trie.trie.length:
            score = self._end(running, beams, logits_processor, self.eos_token_id)
        sequences, score = self._sequences(running, score, generation_config)
        if not generation_config.return_dict_in_generate:
            return sequences
        is_encoder_decoder = model.config.is_encoder_decoder
        output: Any = GenerateBeamEncoderDecoderOutput if is_encoder_decoder else GenerateBeamDecoderOnlyOutput
        return output(sequences=sequences, sequences_scores=score)

    def leaves(self, model: Any, *, beam_size: int, filters: Filter | None = None, **inputs: Any) -> Leaves:
        """The `beam_size` best rows of every user by the log-probability of their codes, best first.

        `inputs`: what `model.generate` takes. The score is that of the codes (and of a stop code), whatever
        `length_penalty` is; rows that share an ID share its probability, as in `trie.step.items`. Users with fewer
        allowed rows get -1 at the end.
        """
        loop = partial(self._leaves, beam_size=beam_size, filters=filters)
        # num_beams=1 keeps generate from copying each user's input; the room behind the ID keeps a forced end outside
        one_copy = {"num_beams": 1, "num_return_sequences": 1, "do_sample": False}
        room = self.trie.trie.length + 1
        return model.generate(**inputs, custom_generate=loop, max_new_tokens=room, **one_copy)

    def _leaves(
        self,
        model: Any,
        input_ids: Int64[Tensor, "users prompt"],
        logits_processor: LogitsProcessorList,
        stopping_criteria: Any,
        generation_config: GenerationConfig,
        *,
        beam_size: int,
        filters: Filter | None,
        **model_kwargs: Any,
    ) -> Leaves:
        """The loop that `leaves` hands to `generate`."""
        self._checked_room(generation_config, input_ids)
        running = RunningModel(model, input_ids, model_kwargs, copies=_copies(generation_config))
        beams = self._search(running, logits_processor, beam_size=beam_size, filters=filters)
        return items(self.trie, beams, beam_size=beam_size, filters=with_stock(self.trie.stock, filters))

    def _search(
        self, running: RunningModel, processors: LogitsProcessorList, *, beam_size: int, filters: Filter | None
    ) -> Beams:
        """Beams that have taken every level; their tokens are those of the running model."""
        for processor in processors:
            if type(processor) in RIVALS:
                raise ValueError(f"the trie chooses every token: leave out {RIVALS[type(processor)]}")
        filters = with_stock(self.trie.stock, filters)
        beams = start(self.trie, len(running.tokens))
        for level, tokens in enumerate(self._token_ids):
            log_probs = self._log_probs(running, processors)[:, tokens].unflatten(0, beams.node.shape)
            beams = step(
                self.trie, level, beams, log_probs, beam_size=beam_size, filters=filters, score=self._step_score
            )
            running.follow(beams.parent, tokens[beams.code])
        return beams

    def _log_probs(self, running: RunningModel, processors: LogitsProcessorList) -> Float32[Tensor, "rows vocabulary"]:
        """Of the token after each row; normalised first and processed then, as `generate` has it."""
        log_probs = running.logits().log_softmax(-1)
        check_vocabulary(self._highest_token, log_probs.shape[1])
        process: Any = processors
        return process(running.tokens, log_probs)

    def _end(
        self, running: RunningModel, beams: Beams, processors: LogitsProcessorList, eos_token_id: int
    ) -> Float32[Tensor, "users beams"]:
        """The beams' scores with `eos_token_id` after their IDs, which it writes."""
        score, eos = beams.score, torch.full_like(beams.code, eos_token_id)
        if self.score == "vocabulary":  # else it is the only token that may come, and so certain
            log_prob = self._log_probs(running, processors)[:, eos_token_id].view_as(score)
            score = score + torch.where(self._has_stopped(beams), 0.0, log_prob)
        running.follow(torch.arange(eos.shape[1], device=eos.device).expand_as(eos), eos)
        return score

    def _has_stopped(self, beams: Beams) -> Bool[Tensor, "users beams"]:
        """Which of the beams that have taken every level took a stop code."""
        is_stop = beams.code == self.trie.trie.level_sizes[-1] - 1
        return is_stop & (self.trie.trie.has_stop and self.trie.trie.length > 1)

    def _sequences(
        self, running: RunningModel, score: Float32[Tensor, "users beams"], config: GenerationConfig
    ) -> tuple[Int64[Tensor, "sequences tokens"], Float32[Tensor, " sequences"]]:
        """The best sequences of every user and their scores, in the form of `generate`."""
        tokens = running.tokens.unflatten(0, score.shape)
        prompt, written = tokens.tensor_split([running.prompt_length], dim=2)
        is_end = written == (-1 if self.eos_token_id is None else self.eos_token_id)
        is_kept = (is_end.cumsum(2) - is_end.long() == 0) & (score > -torch.inf)[..., None]
        length = is_kept.sum(2)
        written = torch.where(is_kept, written, self._padding(config))[..., : int(length.max())]
        score = score / length.clamp(min=1) ** config.length_penalty

        most = config.num_return_sequences
        order = score.argsort(dim=1, descending=True, stable=True)[:, :most]
        missing = most - order.shape[1]
        score = pad(score.gather(1, order), (0, missing), value=-torch.inf)
        written = written.gather(1, order[..., None].expand(-1, -1, written.shape[2]))
        written = pad(written, (0, 0, 0, missing), value=self._padding(config))
        sequences = torch.cat([prompt[:, :1].expand(-1, most, -1), written], dim=2)
        return sequences.flatten(0, 1), score.flatten()

    def _padding(self, config: GenerationConfig) -> int:
        """The token after an ID's end; like `generate` it falls back on the end token, and then on -1."""
        for token in (config.pad_token_id, self.eos_token_id):
            if token is not None:
                return token
        return -1

    def _checked_room(self, config: GenerationConfig, input_ids: Int64[Tensor, "rows prompt"]) -> int:
        """How many tokens may be written; ValueError for settings that the search cannot follow."""
        if config.do_sample:
            raise ValueError("a beam search does not sample: give do_sample=False, or use TrieLogitsProcessor")
        if config.output_logits or config.output_attentions or config.output_hidden_states:
            raise ValueError(
                "a trie beam search keeps no outputs of its steps: leave out output_logits, "
                "output_attentions and output_hidden_states"
            )
        if input_ids.device != self.trie.device:
            raise ValueError(f"the trie is on {self.trie.device}, but the model's inputs are on {input_ids.device}")
        room = config.max_length - input_ids.shape[1]
        forced = config.forced_eos_token_id is not None
        shortest = self.trie.trie.length + forced
        if room < shortest:
            needed = f"{shortest}, an ID's length" + " and its forced end" * forced
            raise ValueError(f"max_new_tokens must be at least {needed}; got {room}")
        return room


def _copies(config: GenerationConfig) -> int:
    """How many equal rows `generate` makes of each user before it calls a decoding loop."""
    return max(config.num_beams, config.num_return_sequences)
