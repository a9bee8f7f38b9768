"""Item rows -> the tokens that the generator reads: one integer for a level and its code."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor, nn

from genrec.generator.shared_modules import twin_of


class Vocabulary(nn.Module):
    """Tokens of every catalogue item; level l's code c is token `offset[l] + c`, so that no two levels share one.

    `item_codes` (items, id_length) travels with the weights, which therefore know what they were trained on. Items that
    came later have the rows after those; their `added_codes` are not saved with the weights.
    """

    item_codes: Tensor
    added_codes: Tensor
    offsets: Tensor

    def __init__(self, num_items: int, level_sizes: Sequence[int]) -> None:
        super().__init__()
        self.level_sizes = tuple(level_sizes)
        self.num_tokens = sum(level_sizes)
        self.register_buffer("item_codes", torch.zeros(num_items, len(level_sizes), dtype=torch.int32))
        self.register_buffer("added_codes", torch.zeros(0, len(level_sizes), dtype=torch.int32), persistent=False)
        offsets = list(accumulate(self.level_sizes, initial=0))[:-1]
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.int64))

    def set_codes(self, codes: Int[Tensor, "items id_length"]) -> None:
        """Take over the semantic ID of every item.

        Raises ValueError if the shape differs or a code lies outside its level.
        """
        if codes.shape != self.item_codes.shape:
            raise ValueError(f"expected codes of shape {tuple(self.item_codes.shape)}, got {tuple(codes.shape)}")
        self._check(codes)
        self.item_codes.copy_(codes)

    def add_codes(self, codes: Int[Tensor, "items id_length"]) -> None:
        """Take in the semantic IDs of items that came after the training, for the rows after all known ones.

        Raises ValueError as `set_codes`.
        """
        if codes.shape[1] != len(self.level_sizes):
            raise ValueError(f"expected codes of {len(self.level_sizes)} levels, got {codes.shape[1]}")
        self._check(codes)
        self.added_codes = torch.cat([self.added_codes, codes.to(self.added_codes)])

    def with_codes(self, codes: Int[Tensor, "items id_length"]) -> "Vocabulary":
        """A vocabulary that has these items too, as `add_codes` adds them; this one stays as it is."""
        grown = twin_of(self)
        grown.add_codes(codes)
        return grown

    def codes_of(self, rows: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch id_length"]:
        """Codes of the items; padding (-1) gets those of row 0 and has to be masked by the reader."""
        rows = rows.clamp(min=0)
        if not len(self.added_codes):
            return self.item_codes[rows].long()
        place = rows - len(self.item_codes)
        trained = self.item_codes[rows.clamp(max=len(self.item_codes) - 1)]
        return torch.where(place.unsqueeze(-1) < 0, trained, self.added_codes[place.clamp(min=0)]).long()

    def tokens_of(self, rows: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch id_length"]:
        """Tokens of the items, padding as in `codes_of`."""
        return self.codes_of(rows) + self.offsets

    def _check(self, codes: Int[Tensor, "items id_length"]) -> None:
        if bool(((codes < 0) | (codes >= torch.tensor(self.level_sizes, device=codes.device))).any()):
            highest = codes.amax(0).tolist()
            raise ValueError(f"expected codes below the level sizes {self.level_sizes}, got up to {highest}")
