"""Semantic IDs from a tree of clusters; on collaborative vectors, the collaborative indexing of Hua et al. 2023."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import canonical_rows
from tokenizer.checkpoint import CONFIG_FILE, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.cluster_tree import ClusterTree, grow_tree
from tokenizer.contract import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.kmeans import kmeans_codebook
from tokenizer.preparation import PREPARATION_KINDS, Preparation, PreparationKind, checked_embeddings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HierarchicalKMeansConfig:
    """How the tree is grown."""

    preparation: PreparationKind = "standardise"
    projection_dim: int | None = 32
    """Principal axes that the centroids live in; None: the input's own dimensions."""
    iterations: int = 25
    max_points_per_code: int = 256
    """A node of more items than this times codebook_size is clustered by a sample of them."""

    def __post_init__(self) -> None:
        if self.preparation not in PREPARATION_KINDS:
            raise ValueError(f"preparation must be one of {', '.join(PREPARATION_KINDS)}, but is {self.preparation!r}")
        if self.projection_dim is not None and self.projection_dim < 1:
            raise ValueError(f"projection_dim must be at least 1 or None, but is {self.projection_dim}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, but is {self.iterations}")
        if self.max_points_per_code < 1:
            raise ValueError(f"max_points_per_code must be at least 1, but is {self.max_points_per_code}")

    def num_axes(self, dim: int) -> int | None:
        """Axes that the preparation of `dim`-dimensional embeddings has; None: none of its own."""
        if self.preparation != "whiten" and self.projection_dim is None:
            return None
        return min(self.projection_dim or dim, dim)


class HierarchicalKMeans:
    """Recursive k-means: a code means something under its prefix only, for each node has its own centroids.

    Where a node has no more distinct items than codes, its children are the items themselves, numbered in an order
    that means nothing: a tree of much fewer codes per level than items ** (1 / levels) says most.
    """

    def __init__(
        self,
        tree: ClusterTree,
        preparation: Preparation,
        *,
        codebook_size: int,
        seed: int = 0,
        config: HierarchicalKMeansConfig | None = None,
    ) -> None:
        self.tree = tree
        self.preparation = preparation
        self.level_sizes = (codebook_size,) * len(tree.centroids)
        self.seed = seed
        self.config = config or HierarchicalKMeansConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: HierarchicalKMeansConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "HierarchicalKMeans":
        """Grow the tree; `progress(done, all)` is called before each level and at the end.

        A level on which no node has more than one child is logged as a warning that says what to do.

        Raises:
            ValueError: no item, or an embedding that is not finite.
        """
        config = config or HierarchicalKMeansConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        if len(checked) == 0:
            raise ValueError("expected at least one embedding, but got none")
        ordered = checked[canonical_rows(checked, seed=seed)]
        preparation = Preparation.fit(ordered, kind=config.preparation, num_axes=config.num_axes(checked.shape[1]))
        report = progress or (lambda done, number: None)

        def one_codebook(points: ndarray, level: int) -> ndarray:
            limits = {"iterations": config.iterations, "max_points_per_code": config.max_points_per_code}
            return kmeans_codebook(points, codebook_size, seed=seed + level, **limits)

        prepared = np.concatenate([preparation.apply(part) for part in _chunks(ordered)])
        tree = grow_tree(prepared, num_levels, codebook_size, one_codebook=one_codebook, progress=report)
        fitted = cls(tree, preparation, codebook_size=codebook_size, seed=seed, config=config)
        codes = fitted.encode(ordered)
        warn_of_collapse(codes[:, :1], fitted.level_sizes[:1])
        _warn_of_idle_levels(tree, codebook_size)
        report(num_levels, num_levels)
        return fitted

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        checked = checked_embeddings(embeddings)
        return np.concatenate([self.tree.codes(self.preparation.apply(part)) for part in _chunks(checked)])

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every leaf under the node that its other codes name.

        In the units of the preparation. A code that the node does not use is as far as the node's own centroid.

        Raises:
            ValueError: codes outside of their level, or of no node.
        """
        checked = checked_codes(codes, self.level_sizes)
        return self.tree.leaf_distances(self.preparation.apply(embeddings), checked, self.level_sizes[-1])

    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """Centroid of each leaf in the units of the input; a last code that is not in use stands for its node.

        Raises:
            ValueError: codes outside of their level, or of no node.
        """
        return self.preparation.undo(self.tree.leaf_centroids(checked_codes(codes, self.level_sizes)))

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        write_checkpoint(Path(path), "HierarchicalKMeans", self.settings(), self.arrays())

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "HierarchicalKMeans":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "HierarchicalKMeans")
        return cls.from_settings(folder, stored, arrays)

    def settings(self) -> dict:
        """What config.json says of it."""
        return {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "embedding_dim": self.preparation.dim,
            "num_children": [len(table) for table in self.tree.centroids],
            "seed": self.seed,
            "config": asdict(self.config),
        }

    def arrays(self) -> dict[str, ndarray]:
        """Tree and preparation, for a checkpoint."""
        return {**self.tree.arrays(), **self.preparation.arrays()}

    @classmethod
    def from_settings(cls, folder: Path, stored: dict, arrays: dict[str, ndarray]) -> "HierarchicalKMeans":
        """What `settings` and `arrays` gave, out of the checkpoint in `folder`. Raises ValueError where it is not."""
        levels, size, dim, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim", "seed")
        )
        children = stored.get("num_children")
        if not isinstance(children, list) or len(children) != levels or any(type(one) is not int for one in children):
            raise ValueError(
                f"{folder / CONFIG_FILE}: expected {levels} whole numbers for 'num_children', but found {children!r}"
            )
        config = config_from_json(folder, HierarchicalKMeansConfig, stored)
        axes = config.num_axes(dim)
        tree = ClusterTree.from_arrays(folder, arrays, tuple(children), dim if axes is None else axes, size)
        preparation = Preparation.from_arrays(folder, arrays, dim, axes)
        return cls(tree, preparation, codebook_size=size, seed=seed, config=config)


def _chunks(embeddings: Float[ndarray, "items dim"]) -> list[ndarray]:
    return [embeddings[start : start + ENCODE_ITEMS] for start in range(0, max(len(embeddings), 1), ENCODE_ITEMS)]


def _warn_of_idle_levels(tree: ClusterTree, codebook_size: int) -> None:
    idle = [level for level, first in enumerate(tree.first_child) if level and len(first) - 1 == first[-1]]
    if idle:
        leaves = len(tree.centroids[-1])
        balanced = max(2, int(np.ceil(leaves ** (1 / len(tree.centroids)))))
        logger.warning(
            f"level {idle[0]} has the same code for all items, for {codebook_size} codes per level tell the {leaves} "
            f"distinct items apart before; use a num_levels of {idle[0]}, or a codebook_size nearer to {balanced}"
        )
