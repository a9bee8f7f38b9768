"""Clusters first, then a code of the item's own: the hybrid indexing of Hua et al. 2023."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import row_hashes
from tokenizer.checkpoint import CONFIG_FILE, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import checked_codes, checked_sizes
from tokenizer.hierarchical_kmeans import HierarchicalKMeans, HierarchicalKMeansConfig
from tokenizer.preparation import checked_embeddings
from tokenizer.random_codes import hashed_codes, hashed_distances


@dataclass(frozen=True)
class HybridCodesConfig(HierarchicalKMeansConfig):
    """How the tree of the first levels is grown."""


class HybridCodes:
    """All codes but the last from `HierarchicalKMeans`, the last a seeded hash of the embedding's content.

    In Hua et al. each item gets a token of its own at the end; a hash needs no table and codes unseen items, but two
    items of a cluster may share it. There is nothing to decode.
    """

    def __init__(self, clusters: HierarchicalKMeans) -> None:
        self.clusters = clusters
        self.level_sizes = (*clusters.level_sizes, clusters.level_sizes[0])
        self.seed = clusters.seed
        self.config = clusters.config

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: HybridCodesConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "HybridCodes":
        """Grow the tree of the first levels; `progress(done, all)` is called before each of them and at the end.

        Raises:
            ValueError: fewer than two levels, no item, or an embedding that is not finite.
        """
        checked_sizes(num_levels, codebook_size)
        if num_levels < 2:
            raise ValueError(
                f"num_levels must be at least 2, one for clusters and one for the item, but is {num_levels}; "
                "use HierarchicalKMeans or RandomCodes for one level"
            )
        clusters = HierarchicalKMeans.fit(
            embeddings,
            num_levels=num_levels - 1,
            codebook_size=codebook_size,
            seed=seed,
            config=config or HybridCodesConfig(),
            progress=progress,
        )
        return cls(clusters)

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        checked = checked_embeddings(embeddings)
        own = hashed_codes(row_hashes(checked, seed=self.seed), self._last_level, self.level_sizes[-1])
        return np.column_stack([self.clusters.encode(checked), own])

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Numbers in [0, 1) by chance, 0 at the item's own code; fixed by content and code, whatever `codes` are."""
        checked_codes(codes, self.level_sizes)
        hashes = row_hashes(checked_embeddings(embeddings), seed=self.seed)
        return hashed_distances(hashes, self._last_level, self.level_sizes[-1])

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        settings = {**self.clusters.settings(), "num_levels": len(self.level_sizes)}
        write_checkpoint(Path(path), "HybridCodes", settings, self.clusters.arrays())

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "HybridCodes":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "HybridCodes")
        num_levels = stored_count(folder, stored, "num_levels")
        if num_levels < 2:
            raise ValueError(f"{folder / CONFIG_FILE}: expected at least 2 for 'num_levels', but found {num_levels}")
        clusters = HierarchicalKMeans.from_settings(folder, {**stored, "num_levels": num_levels - 1}, arrays)
        clusters.config = config_from_json(folder, HybridCodesConfig, stored)
        return cls(clusters)

    @property
    def _last_level(self) -> int:
        return len(self.level_sizes) - 1
