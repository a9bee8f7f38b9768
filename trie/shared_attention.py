"""share_cross_attention: the beams of a user as the queries of one cross-attention, so that its input is never copied.

`generate` repeats the keys and values that a decoder reads of its input for every beam. With one query for each beam of
a user instead, one copy per user is enough, and the attention is the same.
"""

from typing import Any

from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SHARED_ATTENTION = "sdpa_shared_by_beams"
"""The name that transformers knows the attention by."""


def share_cross_attention(model: Any) -> None:
    """Let `TrieBeamSearch` keep the input of this encoder-decoder once per user. All else works as before.

    It sets the model's attention implementation, in place of "sdpa"; `model.set_attn_implementation("sdpa")` undoes it.
    ValueError for a model that is decoder-only, whose attention is another, or cannot be exchanged.
    """
    name = type(model).__name__
    if not model.config.is_encoder_decoder:
        raise ValueError(f"{name} is decoder-only and has no cross-attention")
    if model.config._attn_implementation not in ("sdpa", SHARED_ATTENTION):
        used = model.config._attn_implementation
        raise ValueError(f'the attention of {name} is "{used}"; load it with attn_implementation="sdpa"')
    AttentionInterface.register(SHARED_ATTENTION, _attend)
    AttentionMaskInterface.register(SHARED_ATTENTION, sdpa_mask)
    model.set_attn_implementation(SHARED_ATTENTION)
    if not shares_cross_attention(model):
        raise ValueError(f"the attention of {name} cannot be exchanged; use the model as it is")


def shares_cross_attention(model: Any) -> bool:
    """Has `share_cross_attention` been called for the model?"""
    return model.config._attn_implementation == SHARED_ATTENTION


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention, in transformers' form: the output is `[rows, queries, heads, dim]`.

    Query `[rows, heads, queries, dim]` may have several times as many rows as key and value: a user's beams.
    """
    users, beams = len(key), len(query) // len(key)
    if beams > 1:
        query = query.squeeze(2).unflatten(0, (users, beams)).transpose(1, 2)
        attention_mask, position_bias = _of_first_beam(attention_mask, beams), _of_first_beam(position_bias, beams)
        is_causal = False  # the queries are not one after the other
    bias = {} if position_bias is None else {"position_bias": position_bias}
    output, _ = sdpa_attention_forward(
        module, query, key, value, attention_mask, is_causal=is_causal, **bias, **options
    )
    return (output.flatten(0, 1)[:, None] if beams > 1 else output), None


def _of_first_beam(by_row: Tensor | None, beams: int) -> Tensor | None:
    """What all beams of a user share, once per user; it may be the same for all rows."""
    return by_row if by_row is None or len(by_row) == 1 else by_row[::beams]
