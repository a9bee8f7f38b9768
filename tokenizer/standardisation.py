"""Zero mean and unit variance per dimension, kept with the model that was trained on it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and scale (standard deviation; 1 where a dimension is constant) of each embedding dimension."""

    mean: Float[ndarray, " dim"]
    scale: Float[ndarray, " dim"]

    @classmethod
    def fit(cls, embeddings: Float[ndarray, "items dim"]) -> "Standardisation":
        """Mean and scale of the embeddings, summed up in float64."""
        mean = embeddings.mean(axis=0, dtype=np.float64)
        scale = embeddings.std(axis=0, dtype=np.float64)
        # a constant column's deviation is rounding dust, not exactly 0
        constant = scale <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        return cls(mean.astype(np.float32), np.where(constant, 1.0, scale).astype(np.float32))

    @property
    def dim(self) -> int:
        """Width of the embeddings it was made from."""
        return len(self.mean)

    def apply(self, embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items dim"]:
        """Standardised embeddings, float32.

        Raises:
            ValueError: another width than the model's, or a value that is not finite (the row is named).
        """
        checked = checked_embeddings(embeddings)
        if checked.shape[1] != self.dim:
            raise ValueError(
                f"this tokenizer was fitted on {self.dim}-dimensional embeddings, but these have {checked.shape[1]} "
                "dimensions; embed with the same encoder, or fit again"
            )
        return (checked - self.mean) / self.scale

    def undo(self, standardised: Float[ndarray, "items dim"]) -> Float[ndarray, "items dim"]:
        """Embeddings in their own units, from standardised ones."""
        return standardised * self.scale + self.mean


def checked_embeddings(embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items dim"]:
    """The embeddings as a contiguous float32 array.

    Raises:
        ValueError: not a table, without a dimension, or with a value that is not finite (the first such row is named).
    """
    checked = np.ascontiguousarray(embeddings, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] == 0:
        raise ValueError(f"expected embeddings of shape (items, dim), but got shape {checked.shape}")
    bad_rows = np.flatnonzero(~np.isfinite(checked).all(axis=1))
    if len(bad_rows):
        raise ValueError(
            f"{len(bad_rows)} of {len(checked)} embeddings hold NaN or infinity (first: row {bad_rows[0]}); "
            "embed those items again or leave them out"
        )
    return checked
