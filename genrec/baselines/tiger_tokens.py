"""The tokens of a T5 that reads and writes semantic IDs: one for every code of every level."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tokenizer import SemanticIDs

PADDING_TOKEN, EOS = 0, 1
"""Padding is also what the decoder starts from. IDs have one length, so that none is ended by a token; T5 wants one."""
_FIRST = 2


class CodeTokens(nn.Module):
    """Items as tokens. The table moves with the model and is not saved with its weights."""

    item_tokens: Tensor

    def __init__(self, semantic_ids: SemanticIDs) -> None:
        super().__init__()
        sizes = torch.tensor(semantic_ids.level_sizes)
        self.offsets: list[int] = (sizes.cumsum(0) - sizes + _FIRST).tolist()
        self.num_tokens = _FIRST + int(sizes.sum())
        tokens = torch.from_numpy(semantic_ids.codes).long() + torch.tensor(self.offsets)
        self.register_buffer("item_tokens", tokens, persistent=False)
        self.by_level = [
            list(range(offset, offset + size))
            for offset, size in zip(self.offsets, semantic_ids.level_sizes, strict=True)
        ]

    def of_items(self, rows: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch levels"]:
        """The tokens of each item; rows are at least 0."""
        return self.item_tokens[rows]

    def of_histories(self, history: Int[Tensor, "batch items"]) -> Int[Tensor, "batch tokens"]:
        """Tokens of all items, one after the other; -1 becomes as many padding tokens as an ID is long."""
        tokens = self.of_items(history.clamp(min=0)).masked_fill((history < 0).unsqueeze(-1), PADDING_TOKEN)
        return tokens.flatten(1)
