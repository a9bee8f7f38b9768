"""TrieLogitsProcessor: keeps `generate` of any transformers model inside a trie.

It goes with everything that `generate` can do: sampling, other processors, stopping criteria. For the best rows of a
catalogue `trie.generate` is faster, and knows filters and rows.
"""

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor
from transformers import LogitsProcessor

from trie.prefix_trie import PrefixTrie
from trie.token_ids import TokenIds, check_vocabulary, checked_token_ids


class TrieLogitsProcessor(LogitsProcessor):
    """Sets to -inf the score of every token that does not continue an ID of the trie.

    It does what `prefix_allowed_tokens_fn` does, for all beams at once. It keeps no state: the nodes are found again
    from the tokens at every step, so it serves beams, samples and any batch, and nothing waits for the device. After a
    full ID, and after tokens that are no prefix of an ID (finished or dead beams), only `eos_token_id` is allowed.
    Where the catalogue has fewer IDs than `generate` has beams, the beams that are left over are not IDs;
    `trie.generate` has no such case.
    """

    def __init__(self, trie: PrefixTrie, token_ids: TokenIds, *, eos_token_id: int, prompt_length: int = 1):
        """`token_ids[level][code]`: the model's token of a code; of a stop code `eos_token_id`, which may be left out.

        `prompt_length`: how many tokens of `input_ids` come before the first code: 1 for an encoder-decoder (its start
        token), the padded prompt's length for a decoder-only model. Set the attribute anew for another prompt.
        """
        self.trie = trie
        self.eos_token_id = eos_token_id
        self.prompt_length = prompt_length
        self._token_ids = checked_token_ids(trie, token_ids, eos_token_id)
        self._sorted = [tokens.sort() for tokens in self._token_ids]
        self._highest_token = max(eos_token_id, *(int(tokens.max()) for tokens in self._token_ids))
        self._view = trie.to("cpu")

    def __call__(
        self, input_ids: Integer[Tensor, "beams tokens"], scores: Float[Tensor, "beams vocabulary"]
    ) -> Float[Tensor, "beams vocabulary"]:
        """The scores with -inf at every token that may not come next."""
        check_vocabulary(self._highest_token, scores.shape[1])
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
            offset = torch.arange(self._view.width(level, 1), device=node.device)
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
