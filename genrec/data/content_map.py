"""Content -> collaborative vectors, for items that nobody has taken yet: ridge regression in closed form."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy import ndarray

from genrec.data.collaborative import unit_rows

_ITEMS_AT_ONCE = 16_384


@dataclass(frozen=True, eq=False)
class ContentMap:
    """`(content - content_mean) @ weights + vector_mean`, brought to length 1."""

    weights: Float32[ndarray, "content_dim dim"]
    content_mean: Float32[ndarray, " content_dim"]
    vector_mean: Float32[ndarray, " dim"]

    @classmethod
    def fit(
        cls,
        content: Float[ndarray, "items content_dim"],
        vectors: Float[ndarray, "items dim"],
        *,
        ridge: float,
    ) -> "ContentMap":
        """Least squares with a penalty of `ridge` times the mean variance of the content on each squared weight.

        W = (X'X + ridge * trace(X'X) / content_dim * I)^-1 X'Y with centred X and Y (Hoerl & Kennard 1970), float64.
        """
        content_mean, vector_mean = content.mean(axis=0, dtype=np.float64), vectors.mean(axis=0, dtype=np.float64)
        gram, products = np.zeros((content.shape[1],) * 2), np.zeros((content.shape[1], vectors.shape[1]))
        for start in range(0, len(content), _ITEMS_AT_ONCE):
            rows = slice(start, start + _ITEMS_AT_ONCE)
            centred = content[rows] - content_mean
            gram += centred.T @ centred
            products += centred.T @ (vectors[rows] - vector_mean)
        penalty = ridge * np.trace(gram) / len(gram) or 1.0  # equal contents: any penalty, since all weights are 0
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), products)
        return cls(*(part.astype(np.float32) for part in (weights, content_mean, vector_mean)))

    def predict(self, content: Float[ndarray, "items content_dim"]) -> Float32[ndarray, "items dim"]:
        """Vectors of items by their content. Raises ValueError for content of another width."""
        if content.shape[1] != len(self.weights):
            raise ValueError(
                f"expected content vectors of width {len(self.weights)}, got {content.shape[1]}; "
                "embed with the same encoder"
            )
        # float64: so that rounding does not depend on what else is predicted
        mean = self.content_mean.astype(np.float64)
        parts = [
            unit_rows((content[start : start + _ITEMS_AT_ONCE] - mean) @ self.weights + self.vector_mean)
            for start in range(0, max(len(content), 1), _ITEMS_AT_ONCE)
        ]
        return np.concatenate(parts)


def fill_unseen(
    content: Float[ndarray, "items content_dim"],
    vectors: Float32[ndarray, "items dim"],
    seen: Bool[ndarray, " items"],
    *,
    ridge: float,
) -> tuple[Float32[ndarray, "items dim"], ContentMap]:
    """The vectors with those of unseen items predicted from their content, and the map fitted on the seen ones."""
    content_map = ContentMap.fit(content[seen], vectors[seen], ridge=ridge)
    filled = vectors.copy()
    filled[~seen] = content_map.predict(content[~seen])
    return filled, content_map
