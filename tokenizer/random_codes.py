"""Codes by chance: the baseline that shows what the meaning in the other tokenizers' codes is worth."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt64
from numpy import ndarray

from tokenizer.canonical_rows import row_hashes
from tokenizer.checkpoint import CONFIG_FILE, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import checked_codes, checked_sizes
from tokenizer.preparation import checked_embeddings

_GOLDEN_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class RandomCodesConfig:
    """Nothing to choose; here so that all tokenizers are fitted alike."""


class RandomCodes:
    """Each code is a seeded hash of the embedding's float32 content: equal items share it, alike ones do not.

    "Random indexing" of Hua et al. 2023 (How to Index Item IDs for Recommendation Foundation Models), but a function of
    the content, so that items unseen in the fit have codes too. There is nothing to decode.
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        num_levels: int,
        codebook_size: int,
        seed: int = 0,
        config: RandomCodesConfig | None = None,
    ) -> None:
        checked_sizes(num_levels, codebook_size)
        self.embedding_dim = embedding_dim
        self.level_sizes = (codebook_size,) * num_levels
        self.seed = seed
        self.config = config or RandomCodesConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: RandomCodesConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "RandomCodes":
        """Only the embeddings' width is learned. Raises ValueError for an embedding that is not finite."""
        width = checked_embeddings(embeddings).shape[1]
        fitted = cls(width, num_levels=num_levels, codebook_size=codebook_size, seed=seed, config=config)
        if progress:
            progress(num_levels, num_levels)
        return fitted

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item. Raises ValueError for another width or values not finite."""
        hashes = self._hashes(embeddings)
        return np.stack([hashed_codes(hashes, level, size) for level, size in enumerate(self.level_sizes)], axis=1)

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Numbers in [0, 1) by chance, 0 at the item's own code; fixed by content and code, whatever `codes` are."""
        checked_codes(codes, self.level_sizes)
        return hashed_distances(self._hashes(embeddings), len(self.level_sizes) - 1, self.level_sizes[-1])

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "embedding_dim": self.embedding_dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        write_checkpoint(Path(path), "RandomCodes", config, {})

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "RandomCodes":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, _ = read_checkpoint(folder, "RandomCodes")
        levels, size, width, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim", "seed")
        )
        config = config_from_json(folder, RandomCodesConfig, stored)
        try:
            return cls(width, num_levels=levels, codebook_size=size, seed=seed, config=config)
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG_FILE}: {error}") from error

    def _hashes(self, embeddings: Float[ndarray, "items dim"]) -> UInt64[ndarray, " items"]:
        checked = checked_embeddings(embeddings)
        if checked.shape[1] != self.embedding_dim:
            raise ValueError(
                f"this tokenizer was fitted on {self.embedding_dim}-dimensional embeddings, but these have "
                f"{checked.shape[1]} dimensions; embed with the same encoder, or fit again"
            )
        return row_hashes(checked, seed=self.seed)


def hashed_codes(hashes: UInt64[ndarray, " items"], level: int, codebook_size: int) -> Int[ndarray, " items"]:
    """A code in 0..codebook_size-1 per hash; the levels are independent of each other."""
    return (_level_hashes(hashes, level) % np.uint64(codebook_size)).astype(np.int64)


def hashed_distances(
    hashes: UInt64[ndarray, " items"], level: int, codebook_size: int
) -> Float[ndarray, "items {codebook_size}"]:
    """A number in [0, 1) per hash and code, 0 at the code that `hashed_codes` gives."""
    steps = _GOLDEN_STEP * np.arange(1, codebook_size + 1, dtype=np.uint64)
    numbers = _scrambled(_level_hashes(hashes, level)[:, None] + steps)
    distances = (numbers >> np.uint64(11)) * 2.0**-53  # as many bits as a float64 holds
    distances[np.arange(len(hashes)), hashed_codes(hashes, level, codebook_size)] = 0.0
    return distances


def _level_hashes(hashes: UInt64[ndarray, " items"], level: int) -> UInt64[ndarray, " items"]:
    return _scrambled(hashes + _GOLDEN_STEP * np.array([level + 1], dtype=np.uint64))


def _scrambled(numbers: UInt64[ndarray, "*axes"]) -> UInt64[ndarray, "*axes"]:
    # splitmix64's output function (Steele, Lea & Flood 2014, Fast Splittable Pseudorandom Number Generators)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
