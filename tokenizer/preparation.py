"""What happens to embeddings before they are quantised: nothing, centred, standardised or whitened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from tokenizer.checkpoint import checked_array

PreparationKind = Literal["raw", "centre", "standardise", "whiten"]
PREPARATION_KINDS = ("raw", "centre", "standardise", "whiten")

_CHUNK_ITEMS = 16_384


@dataclass(frozen=True, eq=False)
class Preparation:
    """An affine map: `((x - mean) / scale) @ axes / axis_scale`. Kept with the model that was fitted behind it."""

    mean: Float[ndarray, " dim"]
    scale: Float[ndarray, " dim"]
    axes: Float[ndarray, "dim axes"] | None
    """Orthonormal principal axes, the strongest first; None: the input's own dimensions."""
    axis_scale: Float[ndarray, " axes"] | None

    @classmethod
    def fit(
        cls, embeddings: Float[ndarray, "items dim"], *, kind: PreparationKind, num_axes: int | None = None
    ) -> "Preparation":
        """The map of this kind that these embeddings ask for, summed up in float64.

        "raw" changes nothing. "centre" subtracts the mean, and so keeps all distances. "standardise" also brings each
        dimension to variance 1. "whiten" instead turns to principal axes and brings each to variance 1. `num_axes` (cut
        to dim) keeps so many principal axes; None keeps all.

        Raises:
            ValueError: an unknown kind, no axis, or embeddings that are no table of finite numbers.
        """
        if kind not in PREPARATION_KINDS:
            raise ValueError(f"preparation must be one of {', '.join(PREPARATION_KINDS)}, but is {kind!r}")
        if num_axes is not None and num_axes < 1:
            raise ValueError(f"the number of axes must be at least 1 or None, but is {num_axes}")
        checked = checked_embeddings(embeddings)
        mean, deviation = mean_and_deviation(checked)
        if kind == "raw":
            mean = np.zeros_like(mean)
        scale = _without_dust(deviation, mean) if kind == "standardise" else np.ones_like(mean)
        axes = axis_scale = None
        if kind == "whiten" or num_axes is not None:
            variances, axes = _principal_axes(checked, mean, scale, num_axes or checked.shape[1])
            axis_scale = np.ones(axes.shape[1])
            if kind == "whiten":
                axis_scale = _without_dust(np.sqrt(variances), np.full(len(variances), np.sqrt(variances[0])))
        kept = (None if part is None else np.ascontiguousarray(part, np.float32) for part in (axes, axis_scale))
        return cls(mean.astype(np.float32), scale.astype(np.float32), *kept)

    @property
    def dim(self) -> int:
        """Width of the embeddings it was made from."""
        return len(self.mean)

    @property
    def prepared_dim(self) -> int:
        """Width of what `apply` gives."""
        return self.dim if self.axes is None else self.axes.shape[1]

    def apply(self, embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items prepared"]:
        """Prepared embeddings, float64: so that rounding does not depend on what else is in the batch.

        Raises:
            ValueError: another width than the map's, or a value that is not finite (the row is named).
        """
        scaled = np.subtract(self._checked(embeddings), self.mean, dtype=np.float64)
        scaled /= self.scale
        if self.axes is None or self.axis_scale is None:
            return scaled
        return scaled @ (self.axes / self.axis_scale.astype(np.float64))

    def apply_onto(
        self, axes: Float[ndarray, "prepared axes"]
    ) -> Callable[[Float[ndarray, "items dim"]], Float[ndarray, "items axes"]]:
        """A function that prepares and projects at once (float64): `apply(embeddings) @ axes` in one product."""
        turn = axes.astype(np.float64)
        if self.axes is not None and self.axis_scale is not None:
            turn = self.axes @ (turn / self.axis_scale.astype(np.float64)[:, None])
        turn = turn / self.scale.astype(np.float64)[:, None]
        offset = self.mean.astype(np.float64) @ turn
        return lambda embeddings: self._checked(embeddings).astype(np.float64) @ turn - offset

    def undo(self, prepared: Float[ndarray, "items prepared"]) -> Float[ndarray, "items dim"]:
        """Embeddings (float32) in their own units; what lay outside of the kept axes is the mean's."""
        if self.axes is not None and self.axis_scale is not None:
            prepared = (prepared * self.axis_scale) @ self.axes.T.astype(np.float64)
        return (prepared * self.scale + self.mean).astype(np.float32)

    def _checked(self, embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items dim"]:
        checked = checked_embeddings(embeddings)
        if checked.shape[1] != self.dim:
            raise ValueError(
                f"this tokenizer was fitted on {self.dim}-dimensional embeddings, but these have {checked.shape[1]} "
                "dimensions; embed with the same encoder, or fit again"
            )
        return checked

    def arrays(self) -> dict[str, ndarray]:
        """Its parts, for a checkpoint."""
        parts = {"mean": self.mean, "scale": self.scale, "axes": self.axes, "axis_scale": self.axis_scale}
        return {name: part for name, part in parts.items() if part is not None}

    @classmethod
    def from_arrays(cls, folder: Path, arrays: Mapping[str, ndarray], dim: int, num_axes: int | None) -> "Preparation":
        """What `arrays` gave, out of the checkpoint in `folder`; `num_axes` None: without axes.

        Raises:
            ValueError: a part is missing, of another shape or not finite.
        """
        mean, scale = (checked_array(folder, arrays, name, (dim,)) for name in ("mean", "scale"))
        if num_axes is None:
            return cls(mean, scale, None, None)
        axes = checked_array(folder, arrays, "axes", (dim, num_axes))
        return cls(mean, scale, axes, checked_array(folder, arrays, "axis_scale", (num_axes,)))


def checked_embeddings(embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items dim"]:
    """The embeddings as a contiguous float32 array; a memory-mapped one stays on disk.

    Raises:
        ValueError: not a table, without a dimension, or with a value that is not finite (the first such row is named).
    """
    checked = np.ascontiguousarray(embeddings, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] == 0:
        raise ValueError(f"expected embeddings of shape (items, dim), but got shape {checked.shape}")
    for start in range(0, len(checked), _CHUNK_ITEMS):
        bad_rows = np.flatnonzero(~np.isfinite(checked[start : start + _CHUNK_ITEMS]).all(axis=1))
        if len(bad_rows):
            raise ValueError(
                f"{len(bad_rows)} of the embeddings {start}..{min(start + _CHUNK_ITEMS, len(checked)) - 1} hold NaN or "
                f"infinity (first: row {start + bad_rows[0]}); embed those items again or leave them out"
            )
    return checked


def mean_and_deviation(embeddings: Float[ndarray, "items dim"]) -> tuple[ndarray, ndarray]:
    """Of each dimension, in float64, a part of the items at a time."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(part - mean).sum(axis=0) for part in _chunks(embeddings))
    return mean, np.sqrt(squares / max(len(embeddings), 1))


def _principal_axes(
    embeddings: Float[ndarray, "items dim"], mean: ndarray, scale: ndarray, num_axes: int
) -> tuple[ndarray, ndarray]:
    """Variances and orthonormal columns; the largest entry of each is positive, so that no axis flips between runs."""
    covariance = np.zeros((embeddings.shape[1], embeddings.shape[1]))
    for part in _chunks(embeddings):
        scaled = (part - mean) / scale
        covariance += scaled.T @ scaled
    variances, vectors = np.linalg.eigh(covariance / max(len(embeddings), 1))
    axes = vectors[:, ::-1][:, :num_axes]
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    return np.maximum(variances[::-1][:num_axes], 0), axes * signs


def _chunks(embeddings: Float[ndarray, "items dim"]) -> list[ndarray]:
    return [embeddings[start : start + _CHUNK_ITEMS] for start in range(0, len(embeddings), _CHUNK_ITEMS)]


def _without_dust(deviation: ndarray, size: ndarray) -> ndarray:
    """The deviations, 1 where there is none: a constant column's is rounding dust, not exactly 0.

    Dust beside the size of the column's own values, or beside the deviation of the widest column.
    """
    dust = 1e-6 * np.maximum(np.abs(size), deviation.max(initial=0))
    return np.where(deviation <= np.maximum(dust, 1e-12), 1.0, deviation)
