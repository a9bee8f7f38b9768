"""Levels of residual k-means: each codes what the levels before left over, along axes of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import checked_array
from tokenizer.kmeans import kmeans_codebook
from tokenizer.quantizer import Distance, distances_to_codes, nearest_codes


class Level(NamedTuple):
    """One codebook."""

    axes: Float[ndarray, "dim axes"] | None
    """Orthonormal directions along which it tells items apart; None: all dimensions as they are."""
    landmarks: Float[ndarray, "codes axes"]
    """What it compares with, on those axes."""
    centroids: Float[ndarray, "codes dim"]
    """What a code takes away from the residual: the mean residual of its items, in all dimensions."""

    def look(self, vectors: Float[ndarray, "items dim"]) -> Float[ndarray, "items axes"]:
        """The vectors on the level's axes, float64."""
        wide = np.asarray(vectors, dtype=np.float64)
        return wide if self.axes is None else wide @ self.axes.astype(np.float64)


@dataclass(frozen=True, eq=False)
class ResidualLevels:
    """All levels, coarse to fine. Coding takes the nearest landmark level by level."""

    levels: tuple[Level, ...]

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of codes of each level."""
        return tuple(len(level.landmarks) for level in self.levels)

    @cached_property
    def _shadows(self) -> list[list[ndarray]]:
        """For each level, what the codes of every level before take away as seen on its axes."""
        return [
            [level.look(before.centroids) for before in self.levels[:place]] for place, level in enumerate(self.levels)
        ]

    def encode(
        self, prepared: Float[ndarray, "items dim"], *, distance: Distance = "squared"
    ) -> Int[ndarray, "items levels"]:
        """Codes (int64), computed in float64: so that rounding does not depend on what else is coded."""
        return self.codes_of([level.look(prepared) for level in self.levels], distance=distance)

    def codes_of(
        self, looks: Sequence[Float[ndarray, "items _"]], *, distance: Distance = "squared"
    ) -> Int[ndarray, "items levels"]:
        """Codes from what every level sees of the items (`Level.look`)."""
        codes = np.empty((len(looks[0]), len(self.levels)), dtype=np.int64)
        for place, level in enumerate(self.levels):
            view = torch.from_numpy(self._less_shadows(looks[place], codes, place))
            landmarks = torch.from_numpy(level.landmarks).double()
            codes[:, place] = nearest_codes(view, landmarks, distance=distance).numpy()
        return codes

    def _less_shadows(
        self, look: Float[ndarray, "items axes"], codes: Int[ndarray, "items levels"], place: int
    ) -> Float[ndarray, "items axes"]:
        """The residuals of the levels before `place`, on that level's axes."""
        for before, shadow in enumerate(self._shadows[place]):
            look = look - shadow[codes[:, before]]
        return look

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The sum (float32) of the codes' centroids."""
        return sum_of_codes(codes, [level.centroids for level in self.levels])

    def last_distances(
        self,
        prepared: Float[ndarray, "items dim"],
        codes: Int[ndarray, "items levels"],
        *,
        distance: Distance = "squared",
    ) -> Float[ndarray, "items codes"]:
        """Squared distance of each item's last residual to every landmark of the last level."""
        last = self.levels[-1]
        view = torch.from_numpy(self._less_shadows(last.look(prepared), codes, len(self.levels) - 1))
        return distances_to_codes(view, torch.from_numpy(last.landmarks).double(), distance=distance).numpy()

    def arrays(self) -> dict[str, ndarray]:
        """All parts by name, for a checkpoint."""
        named = {
            f"{name}.{place}": part for place, level in enumerate(self.levels) for name, part in level._asdict().items()
        }
        return {name: part for name, part in named.items() if part is not None}

    @classmethod
    def from_arrays(
        cls,
        folder: Path,
        arrays: Mapping[str, ndarray],
        *,
        level_axes: Sequence[int | None],
        codebook_size: int,
        dim: int,
    ) -> "ResidualLevels":
        """What `arrays` gave, out of the checkpoint in `folder`; ValueError if a part is missing or misshapen."""
        levels = []
        for place, wanted in enumerate(level_axes):
            seen = dim if wanted is None else min(wanted, dim)
            shapes = {"axes": (dim, seen), "landmarks": (codebook_size, seen), "centroids": (codebook_size, dim)}
            if wanted is None:
                del shapes["axes"]
            parts = {name: checked_array(folder, arrays, f"{name}.{place}", shape) for name, shape in shapes.items()}
            levels.append(Level(parts.get("axes"), parts["landmarks"], parts["centroids"]))
        return cls(tuple(levels))


def fit_levels(
    prepared: Float[ndarray, "items dim"],
    level_axes: Sequence[int | None],
    codebook_size: int,
    *,
    seed: int,
    iterations: int,
    progress: Callable[[int, int], None] | None = None,
) -> ResidualLevels:
    """One level after the other; every code is used by one of the items (if so many differ)."""
    levels: list[Level] = []
    codes = np.empty((len(prepared), 0), dtype=np.int64)
    residuals = prepared
    for place, num_axes in enumerate(level_axes):
        if progress:
            progress(place, len(level_axes))
        axes = None if num_axes is None else separating_axes(residuals, codes, num_axes)
        view = residuals if axes is None else residuals @ axes
        landmarks = kmeans_codebook(
            view, codebook_size, seed=seed + place, iterations=iterations, max_points_per_code=len(view)
        )
        chosen = nearest_codes(torch.from_numpy(view), torch.from_numpy(landmarks)).numpy()
        levels.append(Level(axes, landmarks, means_of_codes(residuals, chosen, codebook_size)))
        codes = np.column_stack([codes, chosen])
        residuals = residuals - levels[-1].centroids[chosen]
    if progress:
        progress(len(level_axes), len(level_axes))
    return ResidualLevels(tuple(levels))


def separating_axes(
    residuals: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"], num_axes: int
) -> Float[ndarray, "dim axes"]:
    """Principal axes of what still differs between items that have all their codes so far in common.

    Those are the items that the next level has to tell apart; where too few are left, all items count. The largest
    entry of each axis is positive, so that no axis flips between runs.
    """
    num_axes = min(num_axes, residuals.shape[1])
    differences = _within_groups(residuals, codes)
    if len(differences) < 2 * num_axes:
        differences = residuals - residuals.mean(axis=0)
    scatter = np.matmul(differences.T, differences, dtype=np.float64)
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :num_axes]
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(num_axes)])
    return np.ascontiguousarray(axes * signs, dtype=np.float32)


def means_of_codes(
    vectors: Float[ndarray, "items dim"], codes: Int[ndarray, " items"], num_codes: int
) -> Float[ndarray, "{num_codes} dim"]:
    """Mean vector of the items of each code; zero for a code without items."""
    counts = np.bincount(codes, minlength=num_codes)
    return (sums_of_codes(vectors, codes, num_codes) / np.maximum(counts, 1)[:, None]).astype(np.float32)


def sum_of_codes(
    codes: Int[ndarray, "items levels"], codebooks: Sequence[Float[ndarray, "codes dim"]]
) -> Float[ndarray, "items dim"]:
    """Each item's codebook vectors, added up over the levels (float32)."""
    total = np.zeros((len(codes), codebooks[0].shape[1]), dtype=np.float32)
    for level_codes, codebook in zip(codes.T, codebooks, strict=True):
        total += codebook[level_codes]
    return total


def sums_of_codes(
    vectors: Float[ndarray, "items dim"], codes: Int[ndarray, " items"], num_codes: int
) -> Float[ndarray, "{num_codes} dim"]:
    """Sum (float64) of the vectors of each code."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sums = np.zeros((num_codes, vectors.shape[1]))
    sums[codes[order[starts]]] = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    return sums


def _within_groups(
    residuals: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
) -> Float[ndarray, "others dim"]:
    """Differences of items to the mean of those with the same codes; items alone with theirs are left out."""
    if codes.shape[1] == 0:
        return residuals - residuals.mean(axis=0)
    _, group, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    group = group.ravel()
    differences = residuals - means_of_codes(residuals, group, len(counts))[group]
    return differences[counts[group] > 1]
