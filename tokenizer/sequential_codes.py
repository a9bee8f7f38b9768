"""Codes that number the items in the order in which they first appear: neighbours in time share prefixes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    checked_array,
    config_from_json,
    read_checkpoint,
    stored_count,
    write_checkpoint,
)
from tokenizer.contract import checked_codes, checked_sizes
from tokenizer.preparation import checked_embeddings


@dataclass(frozen=True)
class SequentialCodesConfig:
    """Nothing to choose; here so that all tokenizers are fitted alike."""


class SequentialCodes:
    """The digits of an item's rank, most significant first. There is nothing to decode.

    "Sequential indexing" of Hua et al. 2023 (How to Index Item IDs for Recommendation Foundation Models). In place of
    embeddings the caller gives where each item first appears: an array (items, 1), exact up to 2^24.
    """

    def __init__(
        self,
        positions: Float[ndarray, " ranks"],
        *,
        num_levels: int,
        codebook_size: int,
        seed: int = 0,
        config: SequentialCodesConfig | None = None,
    ) -> None:
        """`positions`: all that are known, ascending, each once."""
        self.positions = positions
        self.codebook_size = codebook_size
        self.level_sizes = (smallest_base(len(positions), num_levels, codebook_size),) * num_levels
        self.seed = seed
        self.config = config or SequentialCodesConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: SequentialCodesConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "SequentialCodes":
        """Sort the positions; items of equal position share a code. The seed changes nothing.

        Raises:
            ValueError: more than one column, values not finite, or more positions than codes can tell apart.
        """
        positions = np.unique(_checked_positions(embeddings)).astype(np.float32)
        fitted = cls(positions, num_levels=num_levels, codebook_size=codebook_size, seed=seed, config=config)
        if progress:
            progress(num_levels, num_levels)
        return fitted

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item; a position unseen in the fit has those of the nearest known one.

        Raises:
            ValueError: more than one column, or values not finite.
        """
        ranks = self._nearest_ranks(_checked_positions(embeddings))
        base = self.level_sizes[0]
        return np.stack([ranks // base**place % base for place in reversed(range(len(self.level_sizes)))], axis=1)

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared difference between each item's last digit and every digit, whatever `codes` are."""
        checked_codes(codes, self.level_sizes)
        last = self.encode(embeddings)[:, -1:]
        return np.square(last - np.arange(self.level_sizes[-1]), dtype=np.float64)

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.codebook_size,
            "num_positions": len(self.positions),
            "seed": self.seed,
            "config": asdict(self.config),
        }
        write_checkpoint(Path(path), "SequentialCodes", config, {"positions": self.positions})

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "SequentialCodes":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "SequentialCodes")
        levels, size, count, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "num_positions", "seed")
        )
        config = config_from_json(folder, SequentialCodesConfig, stored)
        positions = checked_array(folder, arrays, "positions", (count,))
        if not (np.diff(positions) > 0).all():
            raise ValueError(f"{folder / WEIGHTS_FILE}: expected ascending 'positions'; fit the tokenizer again")
        try:
            return cls(positions, num_levels=levels, codebook_size=size, seed=seed, config=config)
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG_FILE}: {error}") from error

    def _nearest_ranks(self, positions: Float[ndarray, " items"]) -> Int[ndarray, " items"]:
        known = self.positions.astype(np.float64)
        right = np.searchsorted(known, positions).clip(max=len(known) - 1)
        left = (right - 1).clip(min=0)
        return np.where(positions - known[left] <= known[right] - positions, left, right)


def smallest_base(num_ranks: int, num_levels: int, codebook_size: int) -> int:
    """Smallest base, at least 2, in which `num_levels` digits number all ranks.

    Raises:
        ValueError: that base is beyond `codebook_size`, there are no ranks, or the sizes cannot be.
    """
    checked_sizes(num_levels, codebook_size)
    if num_ranks < 1:
        raise ValueError("expected at least one item with a position, but got none")
    if codebook_size**num_levels < num_ranks:
        raise ValueError(
            f"{num_ranks} items of different position do not fit into {num_levels} levels of {codebook_size} codes "
            f"({codebook_size**num_levels} in all); use more levels or a larger codebook_size"
        )
    return next(base for base in range(2, codebook_size + 1) if base**num_levels >= num_ranks)


def _checked_positions(embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, " items"]:
    checked = checked_embeddings(embeddings)
    if checked.shape[1] != 1:
        raise ValueError(
            f"expected one column, each item's position of first appearance, but got {checked.shape[1]}-dimensional "
            "embeddings; fit another tokenizer on those"
        )
    return checked[:, 0].astype(np.float64)
