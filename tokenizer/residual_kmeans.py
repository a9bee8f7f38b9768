"""Semantic IDs without a network: k-means on what the levels before left over."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import checked_array, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.kmeans import kmeans_codebook, residual_codebooks
from tokenizer.projection import principal_axes
from tokenizer.quantizer import quantize, sum_of_codes
from tokenizer.standardisation import Standardisation, checked_embeddings


@dataclass(frozen=True)
class ResidualKMeansConfig:
    """How the codebooks are fitted."""

    projection_dim: int | None = 32
    """Principal axes that the codebooks live in; None: all. In hundreds of dimensions k-means spends the later levels'
    codes on a few outliers and leaves the bulk in one code: fewer axes give more even codes and fewer collisions, but
    a coarser reconstruction."""
    iterations: int = 25
    max_points_per_code: int = 256
    """More items than this times codebook_size are sampled down for the fit; all are coded."""

    def __post_init__(self) -> None:
        if self.projection_dim is not None and self.projection_dim < 1:
            raise ValueError(f"projection_dim must be at least 1 or None, but is {self.projection_dim}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, but is {self.iterations}")
        if self.max_points_per_code < 1:
            raise ValueError(f"max_points_per_code must be at least 1, but is {self.max_points_per_code}")


class ResidualKMeans:
    """Codebooks fitted level by level on principal axes of standardised embeddings. Same contract as `RQVAE`."""

    def __init__(
        self,
        codebooks: Float[ndarray, "levels codes axes"],
        axes: Float[ndarray, "dim axes"],
        standardisation: Standardisation,
        *,
        seed: int = 0,
        config: ResidualKMeansConfig | None = None,
    ) -> None:
        self.codebooks = codebooks
        self.axes = axes
        self.standardisation = standardisation
        self.seed = seed
        self.config = config or ResidualKMeansConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: ResidualKMeansConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "ResidualKMeans":
        """Fit one codebook after the other; the same input and seed give the same codes.

        `progress(done, all)` is called before each level and at the end.

        Raises:
            ValueError: fewer items than codes, or an embedding that is not finite.
        """
        config = config or ResidualKMeansConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        standardisation = Standardisation.fit(checked)
        standardised = standardisation.apply(checked)
        axes = principal_axes(standardised, config.projection_dim or standardisation.dim)

        def one_codebook(residuals: ndarray, level: int) -> ndarray:
            if progress:
                progress(level, num_levels)
            return kmeans_codebook(
                residuals,
                codebook_size,
                seed=seed + level,
                iterations=config.iterations,
                max_points_per_code=config.max_points_per_code,
            )

        codebooks = residual_codebooks(standardised @ axes, num_levels, one_codebook)
        if progress:
            progress(num_levels, num_levels)
        fitted = cls(codebooks, axes, standardisation, seed=seed, config=config)
        warn_of_collapse(fitted.encode(checked), fitted.level_sizes)
        return fitted

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        return (self.codebooks.shape[1],) * len(self.codebooks)

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        projected = self.standardisation.apply(embeddings) @ self.axes
        codebooks = torch.from_numpy(self.codebooks)
        parts = [quantize(part, codebooks).codes for part in torch.from_numpy(projected).split(ENCODE_ITEMS)]
        return torch.cat(parts).numpy()

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        checked = checked_codes(codes, self.level_sizes)
        projected = sum_of_codes(torch.from_numpy(checked), torch.from_numpy(self.codebooks)).numpy()
        return self.standardisation.undo(projected @ self.axes.T)

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.codebooks),
            "codebook_size": self.codebooks.shape[1],
            "embedding_dim": self.standardisation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {"codebooks": self.codebooks, "axes": self.axes}
        arrays |= {"mean": self.standardisation.mean, "scale": self.standardisation.scale}
        write_checkpoint(Path(path), "ResidualKMeans", config, arrays)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "ResidualKMeans":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "ResidualKMeans")
        levels, size, dim = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim")
        )
        config = config_from_json(folder, ResidualKMeansConfig, stored)
        num_axes = min(config.projection_dim or dim, dim)
        codebooks = checked_array(folder, arrays, "codebooks", (levels, size, num_axes))
        axes = checked_array(folder, arrays, "axes", (dim, num_axes))
        mean, scale = (checked_array(folder, arrays, name, (dim,)) for name in ("mean", "scale"))
        seed = stored_count(folder, stored, "seed")
        return cls(codebooks, axes, Standardisation(mean, scale), seed=seed, config=config)


ENCODE_ITEMS = 16_384
"""Items that are coded at once: bounds the memory of the distances (items x codes)."""


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
