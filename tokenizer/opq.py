"""Long unordered codes: an optimised product quantiser, as the item IDs of RPG (Hou et al. 2025) need them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import canonical_rows
from tokenizer.checkpoint import checked_array, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.distances import squared_distances
from tokenizer.preparation import PREPARATION_KINDS, Preparation, PreparationKind, checked_embeddings
from tokenizer.product_codebooks import learned_rotation, nearest_per_part, product_codebooks


@dataclass(frozen=True)
class OPQConfig:
    """How rotation and codebooks are fitted."""

    preparation: PreparationKind = "centre"
    rotation_iterations: int = 20
    """Steps of codebooks and rotation in turn; 0 leaves a random rotation."""
    iterations: int = 25
    """k-means steps of each codebook when the rotation is fixed."""
    max_points_per_code: int = 256
    """More items than this times codebook_size are sampled down for the fit; all are coded."""

    def __post_init__(self) -> None:
        if self.preparation not in PREPARATION_KINDS:
            raise ValueError(f"preparation must be one of {', '.join(PREPARATION_KINDS)}, but is {self.preparation!r}")
        if self.rotation_iterations < 0:
            raise ValueError(f"rotation_iterations must be at least 0, but is {self.rotation_iterations}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, but is {self.iterations}")
        if self.max_points_per_code < 1:
            raise ValueError(f"max_points_per_code must be at least 1, but is {self.max_points_per_code}")


class OPQ:
    """A rotation and one codebook for each of its equal parts: no level is coarser than another (Ge et al. 2013)."""

    def __init__(
        self,
        codebooks: Float[ndarray, "levels codes width"],
        rotation: Float[ndarray, "prepared rotated"],
        preparation: Preparation,
        *,
        seed: int = 0,
        config: OPQConfig | None = None,
    ) -> None:
        """`rotation`: orthonormal columns, level after level its `width`."""
        self.codebooks = codebooks
        self.rotation = rotation
        self.preparation = preparation
        self.seed = seed
        self.config = config or OPQConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: OPQConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "OPQ":
        """Learn the rotation, then the codebooks; of the dimensions a multiple of `num_levels` is kept.

        `progress(done, all)` is called before each level and at the end; the first includes the rotation.

        Raises:
            ValueError: fewer items than codes, fewer dimensions than levels, or an embedding that is not finite.
        """
        config = config or OPQConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        _check_enough(checked.shape, num_levels, codebook_size)
        report = progress or (lambda done, number: None)
        report(0, num_levels)
        sample = checked[canonical_rows(checked, seed=seed, max_items=config.max_points_per_code * codebook_size)]
        preparation = Preparation.fit(sample, kind=config.preparation)
        prepared = preparation.apply(sample)
        rotation = learned_rotation(
            prepared, num_levels, codebook_size, seed=seed, iterations=config.rotation_iterations
        ).astype(np.float32)
        codebooks = product_codebooks(
            prepared @ rotation, num_levels, codebook_size, seed=seed, iterations=config.iterations, progress=report
        )
        fitted = cls(codebooks, rotation, preparation, seed=seed, config=config)
        warn_of_collapse(fitted.encode(sample), fitted.level_sizes)
        report(num_levels, num_levels)
        return fitted

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        return (self.codebooks.shape[1],) * len(self.codebooks)

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, one per part. Raises ValueError for another width or values not finite."""
        checked = checked_embeddings(embeddings)
        codes = np.empty((len(checked), len(self.codebooks)), dtype=np.int64)
        for start in range(0, max(len(checked), 1), ENCODE_ITEMS):
            part = self._rotated(checked[start : start + ENCODE_ITEMS])
            codes[start : start + ENCODE_ITEMS] = nearest_per_part(part, self.codebooks)
        return codes

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every code of the last level, its other codes as given.

        Counted are the dimensions that the rotation keeps, in the units of the preparation.
        """
        checked = checked_codes(codes, self.level_sizes)
        rotated = self._rotated(embeddings)
        width = self.codebooks.shape[2]
        others = self._chosen(checked)[:, :-width]
        error = np.square(rotated[:, :-width] - others).sum(axis=1, keepdims=True)
        return error + squared_distances(rotated[:, -width:], self.codebooks[-1])

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        chosen = self._chosen(checked_codes(codes, self.level_sizes))
        return self.preparation.undo(chosen @ self.rotation.T.astype(np.float64))

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.codebooks),
            "codebook_size": self.codebooks.shape[1],
            "embedding_dim": self.preparation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {"codebooks": self.codebooks, "rotation": self.rotation, **self.preparation.arrays()}
        write_checkpoint(Path(path), "OPQ", config, arrays)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "OPQ":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "OPQ")
        levels, size, dim, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim", "seed")
        )
        config = config_from_json(folder, OPQConfig, stored)
        width = dim // max(levels, 1)
        codebooks = checked_array(folder, arrays, "codebooks", (levels, size, width))
        rotation = checked_array(folder, arrays, "rotation", (dim, levels * width))
        preparation = Preparation.from_arrays(folder, arrays, dim, dim if config.preparation == "whiten" else None)
        return cls(codebooks, rotation, preparation, seed=seed, config=config)

    def _rotated(self, embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items rotated"]:
        return self.preparation.apply(embeddings) @ self.rotation

    def _chosen(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items rotated"]:
        levels = np.arange(len(self.codebooks))
        return self.codebooks[levels, codes].reshape(len(codes), -1).astype(np.float64)


def _check_enough(shape: tuple[int, ...], num_levels: int, codebook_size: int) -> None:
    num_items, dim = shape
    if num_items < codebook_size:
        raise ValueError(
            f"k-means for {codebook_size} codes needs at least {codebook_size} items, but there are {num_items}; "
            f"use a codebook_size of at most {num_items}"
        )
    if dim < num_levels:
        raise ValueError(
            f"{num_levels} levels need at least {num_levels} dimensions, but the embeddings have {dim}; "
            f"use at most {dim} levels"
        )
