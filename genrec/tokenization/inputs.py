"""What a tokenizer reads of the items: their content, who is taken with whom, both, or when they first appear.

The same map serves the items of the run and those that come later; a new item's collaborative vector is predicted from
its content.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from genrec.data.collaborative import CollaborativeConfig, TrainingSequences, collaborative_vectors
from genrec.data.content_map import ContentMap, fill_unseen
from tokenizer.checkpoint import checked_array, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import ENCODE_ITEMS
from tokenizer.preparation import Preparation, mean_and_deviation

_KIND, _BLEND = "CollaborativeVectors", "Blend"
_BYTES_IN_MEMORY = 1 << 30


@dataclass(frozen=True, eq=False)
class Collaborative:
    """Collaborative vectors of all items of a run, those of unseen ones predicted, and the map that predicts."""

    vectors: Float32[ndarray, "items dim"]
    content_map: ContentMap

    @classmethod
    def fit(
        cls,
        sequences: TrainingSequences,
        content: Float[ndarray, "items content_dim"],
        config: CollaborativeConfig,
        *,
        seed: int,
    ) -> "Collaborative":
        """From the training sequences, and from the content where they say nothing."""
        vectors, seen = collaborative_vectors(sequences, len(content), config=config, seed=seed)
        return cls(*fill_unseen(content, vectors, seen, ridge=config.ridge))

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `config.json`, the latter with the SHA-256 of the former."""
        arrays = {name: getattr(self.content_map, name) for name in ("weights", "content_mean", "vector_mean")}
        sizes = {"num_items": len(self.vectors), "dim": self.vectors.shape[1], "content_dim": len(arrays["weights"])}
        write_checkpoint(folder, _KIND, sizes, {"vectors": self.vectors, **arrays})

    @classmethod
    def load(cls, folder: Path) -> "Collaborative":
        """Read what `save` wrote. Raises ValueError for a file that is missing or damaged."""
        stored, arrays = read_checkpoint(folder, _KIND)
        items, dim, content_dim = (stored_count(folder, stored, key) for key in ("num_items", "dim", "content_dim"))
        shapes = {"weights": (content_dim, dim), "content_mean": (content_dim,), "vector_mean": (dim,)}
        parts = {name: checked_array(folder, arrays, name, shape) for name, shape in shapes.items()}
        return cls(checked_array(folder, arrays, "vectors", (items, dim)), ContentMap(**parts))


@dataclass(frozen=True, eq=False)
class Blend:
    """Content and collaborative vectors side by side, each brought to a total variance: 1 - weight, and weight.

    The content is standardised by dimension first, as the tokenizers do with content alone.
    """

    content: Preparation
    collaborative: Preparation
    factors: tuple[float, float]

    @classmethod
    def fit(
        cls, content: Float[ndarray, "items content_dim"], vectors: Float[ndarray, "items dim"], *, weight: float
    ) -> "Blend":
        """The blend in which the collaborative vectors have this share of the variance."""
        preparations = Preparation.fit(content, kind="standardise"), Preparation.fit(vectors, kind="centre")
        variances = (
            float(np.square(mean_and_deviation(content)[1] / preparations[0].scale).sum()),
            float(np.square(mean_and_deviation(vectors)[1]).sum()),
        )
        shares = (1 - weight, weight)
        first, second = (
            (share / variance) ** 0.5 if variance > 0 else 0.0
            for share, variance in zip(shares, variances, strict=True)
        )
        return cls(*preparations, (first, second))

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `config.json`: items that come later are weighed as those of the fit were."""
        parts = {"content": self.content, "collaborative": self.collaborative}
        about = {**{f"{name}_dim": part.dim for name, part in parts.items()}, "factors": list(self.factors)}
        arrays = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays().items()}
        write_checkpoint(folder, _BLEND, about, arrays)

    @classmethod
    def load(cls, folder: Path) -> "Blend":
        """Read what `save` wrote. Raises ValueError for a file that is missing or damaged."""
        stored, arrays = read_checkpoint(folder, _BLEND)

        def preparation(name: str) -> Preparation:
            own = {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
            return Preparation.from_arrays(folder, own, stored_count(folder, stored, f"{name}_dim"), None)

        first, second = map(float, stored["factors"])
        return cls(preparation("content"), preparation("collaborative"), (first, second))

    def apply(
        self,
        content: Float[ndarray, "items content_dim"],
        vectors: Float[ndarray, "items dim"],
        *,
        scratch: Path | None = None,
    ) -> Float32[ndarray, "items width"]:
        """Both parts of the items, weighed; in a file in the folder `scratch` where they would fill much memory."""
        first, second = self.factors
        blended = _room((len(content), self.content.dim + self.collaborative.dim), scratch)
        for start in range(0, len(content), ENCODE_ITEMS):
            rows = slice(start, start + ENCODE_ITEMS)
            blended[rows, : self.content.dim] = self.content.apply(content[rows]) * first
            blended[rows, self.content.dim :] = self.collaborative.apply(vectors[rows]) * second
        return blended


def _room(shape: tuple[int, int], scratch: Path | None) -> Float32[ndarray, "items width"]:
    """A table to fill: a large one in a file without a name, which is gone with the table."""
    if scratch is None or 4 * shape[0] * shape[1] < _BYTES_IN_MEMORY:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(dir=scratch) as file:
        return np.memmap(file, np.float32, "w+", shape=shape)
