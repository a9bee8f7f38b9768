"""Semantic IDs without a network: k-means on what the levels before left over."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import canonical_rows
from tokenizer.checkpoint import checked_array, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.joint_codebooks import code_corrections, refined_codebooks, searched_codes
from tokenizer.preparation import PREPARATION_KINDS, Preparation, PreparationKind, checked_embeddings
from tokenizer.residual_levels import ResidualLevels, fit_levels, sum_of_codes


@dataclass(frozen=True)
class ResidualKMeansConfig:
    """How the codebooks are fitted."""

    preparation: PreparationKind = "standardise"
    """"centre" keeps the distances of the input, "standardise" brings every dimension to variance 1."""
    level_axes: tuple[int | None, ...] = (32, 5, 4)
    """Along how many principal axes of its residuals each level tells items apart (the last serves all further levels);
    None: all dimensions. In hundreds of dimensions k-means spends a level's codes on a few outliers and leaves the bulk
    in one code: fewer axes give more even codes and fewer collisions, but a coarser reconstruction."""
    iterations: int = 25
    max_points_per_code: int = 256
    """The fit reads at most so many items per code (a sample by content); all items are coded."""
    refinement_rounds: int = 0
    """Rounds of coding all levels anew and solving for all codebooks at once: less error, less hierarchy. Needs all
    dimensions on all levels."""
    beam_size: int = 1
    """Partial codes kept while an item is coded, as in a beam search for the least error. Above 1 it needs all
    dimensions on all levels."""

    def __post_init__(self) -> None:
        if self.preparation not in PREPARATION_KINDS:
            raise ValueError(f"preparation must be one of {', '.join(PREPARATION_KINDS)}, but is {self.preparation!r}")
        if not self.level_axes or any(axes is not None and axes < 1 for axes in self.level_axes):
            raise ValueError(f"level_axes must be at least 1 or None for each level, but is {self.level_axes}")
        for name, least in (("iterations", 1), ("max_points_per_code", 1), ("refinement_rounds", 0), ("beam_size", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, but is {getattr(self, name)}")
        if (self.refinement_rounds or self.beam_size > 1) and any(axes is not None for axes in self.level_axes):
            raise ValueError("refinement_rounds and beam_size above 1 compare all levels: set level_axes to (None,)")

    @classmethod
    def for_reconstruction(cls) -> "ResidualKMeansConfig":
        """Least error in the input's own distances, whatever that does to collisions."""
        return cls(preparation="centre", level_axes=(None,), iterations=10, refinement_rounds=8, beam_size=4)

    def axes_of(self, level: int) -> int | None:
        """Number of axes of this level; None: all."""
        return self.level_axes[min(level, len(self.level_axes) - 1)]


class ResidualKMeans:
    """Codebooks fitted level by level, each along axes of its own. Same contract as `RQVAE`.

    Decoding adds up the centroids, and for each code a correction in the units of the input: those that bring the
    sums of all levels nearest to the items of the fit (Babenko & Lempitsky 2014, Additive Quantization, section 4.2).
    """

    def __init__(
        self,
        levels: ResidualLevels,
        corrections: Float[ndarray, "levels codes dim"],
        preparation: Preparation,
        *,
        seed: int = 0,
        config: ResidualKMeansConfig | None = None,
    ) -> None:
        self.levels = levels
        self.corrections = corrections
        self.preparation = preparation
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
        """Fit one codebook after the other; the same items and seed give the same codes, in any order of the rows.

        `progress(done, all)` is called before each level and at the end. At most `max_points_per_code * codebook_size`
        items are read for the fit.

        Raises:
            ValueError: fewer items than codes, or an embedding that is not finite.
        """
        config = config or ResidualKMeansConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        rows = canonical_rows(checked, seed=seed, max_items=config.max_points_per_code * codebook_size)
        sample = checked[rows]
        preparation = Preparation.fit(sample, kind=config.preparation)
        prepared = preparation.apply(sample).astype(np.float32)
        axes = [config.axes_of(level) for level in range(num_levels)]
        levels = fit_levels(prepared, axes, codebook_size, seed=seed, iterations=config.iterations, progress=progress)
        if config.refinement_rounds:
            levels = refined_codebooks(prepared, levels, rounds=config.refinement_rounds, beam_size=config.beam_size)
        codes = searched_codes(prepared, levels, beam_size=config.beam_size)
        corrections = code_corrections(sample, preparation.undo(levels.decode(codes)), codes, codebook_size)
        warn_of_collapse(codes, levels.level_sizes)
        return cls(levels, corrections, preparation, seed=seed, config=config)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        return self.levels.level_sizes

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        starts = range(0, max(len(embeddings), 1), ENCODE_ITEMS)
        return np.concatenate([self._encode_part(embeddings[start : start + ENCODE_ITEMS]) for start in starts])

    def _encode_part(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        if self._looks is None:
            prepared = self.preparation.apply(embeddings)
            return searched_codes(prepared, self.levels, beam_size=self.config.beam_size)
        looks, places = self._looks
        return self.levels.codes_of(np.split(looks(embeddings), places, axis=1))

    @cached_property
    def _looks(self) -> tuple[Callable[[ndarray], ndarray], Int[ndarray, " splits"]] | None:
        """What all levels see of the input by one matrix product, and where to split it; None: some see it all."""
        axes = [level.axes for level in self.levels.levels if level.axes is not None]
        if len(axes) < len(self.levels.levels):
            return None
        return self.preparation.apply_onto(np.hstack(axes)), np.cumsum([part.shape[1] for part in axes])[:-1]

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        checked = checked_codes(codes, self.level_sizes)
        return self.preparation.undo(self.levels.decode(checked)) + sum_of_codes(checked, list(self.corrections))

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every code of the last level, its other codes as given."""
        return self.levels.last_distances(self.preparation.apply(embeddings), checked_codes(codes, self.level_sizes))

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "embedding_dim": self.preparation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {f"preparation.{name}": part for name, part in self.preparation.arrays().items()}
        arrays |= {"corrections": self.corrections, **self.levels.arrays()}
        write_checkpoint(Path(path), "ResidualKMeans", config, arrays)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "ResidualKMeans":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "ResidualKMeans")
        num_levels, size, dim, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim", "seed")
        )
        config = config_from_json(folder, ResidualKMeansConfig, stored)
        parts = {name.removeprefix("preparation."): part for name, part in arrays.items()}
        preparation = Preparation.from_arrays(folder, parts, dim, dim if config.preparation == "whiten" else None)
        axes = [config.axes_of(level) for level in range(num_levels)]
        levels = ResidualLevels.from_arrays(folder, arrays, level_axes=axes, codebook_size=size, dim=dim)
        corrections = checked_array(folder, arrays, "corrections", (num_levels, size, dim))
        return cls(levels, corrections, preparation, seed=seed, config=config)
