"""Which token of a language model stands for which code, level by level."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Integer
from numpy import ndarray
from torch import Tensor

from trie.prefix_trie import PrefixTrie

TokenIds = Sequence[Integer[ndarray, " _"] | Sequence[SupportsIndex]]
"""`token_ids[level][code]`: the model's token of a code. A token may stand for codes of several levels."""


def checked_token_ids(trie: PrefixTrie, token_ids: TokenIds, eos_token_id: int | None) -> list[Tensor]:
    """Per level, `[level_size]` int64: the token of each code.

    Where the trie has stop codes, the token of each is `eos_token_id`: what ends an ID for the model. A level's tokens
    may leave it out, as its stop is the last code.

    ValueError unless each code of a level has a token of its own, and none but a stop has `eos_token_id`.
    """
    levels = [np.array(tokens, dtype=np.int64) for tokens in token_ids]
    if trie.has_stop:
        if eos_token_id is None:
            raise ValueError("the trie has stop codes, whose token is eos_token_id: give it")
        levels = [_with_stop(trie, level, tokens, eos_token_id) for level, tokens in enumerate(levels)]
    sizes = tuple(len(tokens) for tokens in levels)
    if sizes != trie.level_sizes:
        raise ValueError(f"token_ids must have a token for each code of {trie.level_sizes}; got {sizes}")
    for level, tokens in enumerate(levels):
        if len(np.unique(tokens)) < len(tokens) or int(tokens.min()) < 0:
            raise ValueError(f"the token_ids of level {level} must be different and not negative")
        ends = np.flatnonzero(tokens == eos_token_id)
        if len(ends) and not (trie.has_stop and level and ends[0] == len(tokens) - 1):
            raise ValueError(f"code {ends[0]} of level {level} has eos_token_id {eos_token_id}, which ends an ID")
    return [torch.from_numpy(tokens) for tokens in levels]


def check_vocabulary(highest_token: int, num_tokens: int) -> None:
    """ValueError unless a model with so many tokens has this one; else a device would fail without a word."""
    if highest_token >= num_tokens:
        raise ValueError(f"token_ids go up to {highest_token}, but the model has {num_tokens} tokens")


def _with_stop(trie: PrefixTrie, level: int, tokens: ndarray, eos_token_id: int) -> ndarray:
    """A level's tokens, with that of its stop code where it was left out; the first level has none."""
    left_out = level and level < trie.length and len(tokens) == trie.level_sizes[level] - 1
    return np.append(tokens, eos_token_id) if left_out else tokens
