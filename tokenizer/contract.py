"""What every tokenizer does, and the checks that all of them make."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

ENCODE_ITEMS = 4_096
"""Items that are coded at once: bounds the memory, changes no code."""


@runtime_checkable
class Tokenizer(Protocol):
    """A fitted tokenizer: vectors in, codes out.

    Each kind has `X.fit(embeddings, num_levels=, codebook_size=, seed=, config=, progress=)` and
    `X.from_pretrained(path)`, and `decode(codes)` where codes stand for vectors. The same seed gives the same codes
    over runs, orders of the rows, and sizes of what is encoded at once.
    """

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        ...

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        ...

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every code of the last level, its other codes as given."""
        ...

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """A tokenizer whose codes stand for vectors."""

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        ...


def checked_sizes(num_levels: int, codebook_size: int) -> None:
    """Raises ValueError for a number of levels or codes that cannot be."""
    if num_levels < 1:
        raise ValueError(f"num_levels must be at least 1, but is {num_levels}")
    if codebook_size < 2:
        raise ValueError(f"codebook_size must be at least 2, but is {codebook_size}")


def checked_codes(codes: Int[ndarray, "items levels"], level_sizes: tuple[int, ...]) -> Int[ndarray, "items levels"]:
    """The codes as int64. Raises ValueError (row and level named) for a code outside of its level."""
    checked = np.asarray(codes, dtype=np.int64)
    if checked.ndim != 2 or checked.shape[1] != len(level_sizes):
        raise ValueError(f"expected codes of shape (items, {len(level_sizes)}), but got {checked.shape}")
    wrong = np.argwhere((checked < 0) | (checked >= np.array(level_sizes)))
    if len(wrong):
        row, level = wrong[0]
        raise ValueError(
            f"code {checked[row, level]} of row {row} at level {level} is outside of 0..{level_sizes[level] - 1}"
        )
    return checked
