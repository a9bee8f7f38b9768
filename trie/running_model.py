"""RunningModel: a transformers model in the middle of `generate`, first with a row per user, then with one per beam."""

from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from trie.shared_attention import shares_cross_attention


class RunningModel:
    """A model, the tokens of its rows, and what it keeps of them.

    It uses nothing of a model but what `generate` does: `prepare_inputs_for_generation`, the forward pass, and a cache
    with `reorder_cache`.
    """

    def __init__(self, model: Any, tokens: Int64[Tensor, "rows prompt"], inputs: dict[str, Any], *, copies: int):
        """From what `generate` hands to a decoding loop, which has `copies` equal rows of each user: one is kept.

        ValueError where `inputs` holds a cache with tokens already.
        """
        cache = inputs.get("past_key_values")
        if cache is not None and cache.get_seq_length() > 0:
            raise ValueError("past_key_values already holds tokens; give the whole prompt, without a cache")
        first_copies = torch.arange(0, len(tokens), copies, device=tokens.device)
        self.model = model
        self.prompt_length = tokens.shape[1]
        self.tokens = tokens[first_copies]
        """What has been read and written of each row; a user's rows are neighbours."""
        self._inputs = _rows_of(inputs, first_copies) if copies > 1 else inputs
        self._parents: Tensor | None = None
        self._is_resized = False

    def logits(self) -> Float32[Tensor, "rows vocabulary"]:
        """What the model says of the token after each row."""
        if self._parents is not None:
            self._move(self._parents)
        inputs = self.model.prepare_inputs_for_generation(
            self.tokens,
            next_sequence_length=None if self._parents is None or not self._inputs.get("use_cache") else 1,
            is_first_iteration=self._parents is None,
            **self._inputs,
        )
        outputs = self.model(**inputs, return_dict=True)
        self._inputs = self.model._update_model_kwargs_for_generation(
            outputs, self._inputs, is_encoder_decoder=self.model.config.is_encoder_decoder
        )
        return outputs.logits[:, -1].to(device=self.tokens.device, dtype=torch.float32)

    def follow(self, parent: Int64[Tensor, "batch beams"], token: Int64[Tensor, "batch beams"]) -> None:
        """Go on with these beams: which of its user's rows each continues, and with which token."""
        batch, beams = parent.shape
        rows = len(self.tokens) // batch
        self._parents = (torch.arange(batch, device=parent.device)[:, None] * rows + parent).flatten()
        self._is_resized = beams != rows
        self.tokens = torch.cat([self.tokens[self._parents], token.reshape(-1, 1)], dim=1)

    def _move(self, parents: Int64[Tensor, " rows"]) -> None:
        """Give each row what the model kept of the row that it continues."""
        if self._is_resized:
            self._inputs = _rows_of(self._inputs, parents)
        if not self._inputs.get("use_cache"):
            return
        cache: Any = self._inputs.get("past_key_values", self._inputs.get("cache_params"))
        if not hasattr(cache, "reorder_cache"):
            name = type(self.model).__name__
            raise ValueError(f"the cache of {name}, {type(cache).__name__}, cannot follow beams; use use_cache=False")
        cross_attention = getattr(cache, "cross_attention_cache", None)
        if cross_attention is None:
            cache.reorder_cache(parents)
        else:
            cache.self_attention_cache.reorder_cache(parents)
            # All beams of a user attend to the same input, so these keys and values are equal whichever beam they came
            # from: they are fitted to the number of beams where that changes, and never follow one.
            if self._is_resized and not shares_cross_attention(self.model):
                cross_attention.reorder_cache(parents)


def _rows_of(inputs: dict[str, Any], rows: Int64[Tensor, " rows"]) -> dict[str, Any]:
    """The model's inputs for these rows; the counterpart of `generate`'s own expansion, and like it in the axes."""
    picked = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            axis = 1 if name == "position_ids" and value.ndim == 3 else 0
            picked[name] = value.index_select(axis, rows.to(value.device))
        elif name == "encoder_outputs":
            picked[name] = type(value)(**_rows_of(dict(value), rows))
    return picked
