"""TrieLogitsProcessor: keeps `generate` of any transformers model inside a trie."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Integer
from numpy import ndarray
from torch import Tensor
from transformers import LogitsProcessor

from trie.prefix_trie import PrefixTrie


class TrieLogitsProcessor(LogitsProcessor):
    """Sets to -inf the score of every token that does not continue an ID of the trie.

    It does what `prefix_allowed_tokens_fn` does, for all beams at once. It keeps no state: the nodes are found again
    from the tokens at every step. After a full ID, and after tokens that are no prefix of an ID (finished or dead
    beams), only `eos_token_id` is allowed. Where the catalogue has fewer IDs than `generate` has beams, the beams that
    are left over are not IDs; `trie.step` has no such case.
    """

    def __init__(
        self,
        trie: PrefixTrie,
        token_ids: Sequence[Integer[ndarray, " _"] | Sequence[SupportsIndex]],
        *,
        eos_token_id: int,
        prompt_length: int = 1,
    ):
        """`token_ids[level][code]`: the model's token of a code.

        `prompt_length`: how many tokens of `input_ids` come before the first code: 1 for an encoder-decoder (its start
        token), the padded prompt's length for a decoder-only model.
        """
        sizes = tuple(len(tokens) for tokens in token_ids)
        if sizes != trie.level_sizes:
            raise ValueError(f"token_ids must have a token for each code of {trie.level_sizes}; got {sizes}")
        self.trie = trie
        self.eos_token_id = eos_token_id
        self.prompt_length = prompt_length
        self._token_ids = [torch.from_numpy(np.asarray(tokens, dtype=np.int64)) for tokens in token_ids]
        for level, tokens in enumerate(self._token_ids):
            if len(tokens.unique()) < len(tokens) or int(tokens.min()) < 0:
                raise ValueError(f"the token_ids of level {level} must be different and not negative")
        self._sorted = [tokens.sort() for tokens in self._token_ids]
        self._view = trie.to("cpu")

    def __call__(
        self, input_ids: Integer[Tensor, "beams tokens"], scores: Float[Tensor, "beams vocabulary"]
    ) -> Float[Tensor, "beams vocabulary"]:
        """The scores with -inf at every token that may not come next."""
        self._move(scores.device)
        taken = input_ids[:, self.prompt_length :]
        allowed = self._allowed(self._nodes(taken), taken.shape[1], scores.shape[1])
        return scores.masked_fill(~allowed, -torch.inf)

    def _nodes(self, taken: Integer[Tensor, "beams codes"]) -> Int64[Tensor, " beams"]:
        """Where the codes taken so far have led each beam; -1 outside the trie."""
        node = torch.zeros(len(taken), dtype=torch.int64, device=taken.device)
        for level in range(min(taken.shape[1], self.trie.length)):
            tokens, order = self._sorted[level]
            place = torch.searchsorted(tokens, taken[:, level].contiguous().long()).clamp(max=len(tokens) - 1)
            code = torch.where(tokens[place] == taken[:, level], order[place], -1)
            node = self._view.advance(level, node, code)
        return node

    def _allowed(self, node: Int64[Tensor, " beams"], level: int, vocabulary: int) -> Bool[Tensor, "beams vocabulary"]:
        """Which tokens may follow at this level; one spare column takes the writes that are not meant."""
        allowed = torch.zeros(len(node), vocabulary + 1, dtype=torch.bool, device=node.device)
        ended = node < 0
        if level >= self.trie.length:
            ended = torch.ones_like(ended)
        else:
            begin, count = self._view.children(level, node.clamp(min=0))
            offset = torch.arange(self.trie.fanout[level], device=node.device)
            kid = (begin[:, None] + offset).clamp(max=self.trie.num_nodes[level] - 1)
            token = self._token_ids[level][self._view.codes(level, kid)]
            listed = (offset < count[:, None]) & ~ended[:, None]
            allowed.scatter_(1, torch.where(listed, token, vocabulary), True)
        allowed[:, self.eos_token_id] |= ended
        return allowed[:, :-1]

    def _move(self, device: torch.device) -> None:
        if self._view.device != device:
            self._view = self.trie.to(device)
            self._token_ids = [tokens.to(device) for tokens in self._token_ids]
            self._sorted = [tokens.sort() for tokens in self._token_ids]
