"""A fitted tokenizer, and how the vectors that it reads are made: for the items of a run, and for later ones."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from genrec.tokenization.config import TokenizerConfig, TokenizerKind
from genrec.tokenization.inputs import Blend, Collaborative
from tokenizer import (
    FSQ,
    OPQ,
    RQVAE,
    HierarchicalKMeans,
    HierarchicalKMeansConfig,
    HybridCodes,
    RandomCodes,
    ResidualKMeans,
    SequentialCodes,
    Tokenizer,
    load_tokenizer,
)
from tokenizer.hybrid_codes import HybridCodesConfig

COLLABORATIVE_FOLDER, BLEND_FOLDER = "collaborative", "blend"
_CLASS_OF: dict[str, Any] = {
    "rqvae": RQVAE,
    "residual_kmeans": ResidualKMeans,
    "fsq": FSQ,
    "opq": OPQ,
    "random": RandomCodes,
    "sequential": SequentialCodes,
    "collaborative": HierarchicalKMeans,
    "hybrid": HybridCodes,
}


@dataclass(frozen=True, eq=False)
class FittedTokenizer:
    """A tokenizer and the map from what is known of an item to what the tokenizer reads."""

    tokenizer: Tokenizer
    kind: TokenizerKind
    collaborative: Collaborative | None
    blend: Blend | None

    def inputs_of_later(
        self, content: Float[ndarray, "items content_dim"] | None, *, first_row: int, num_items: int
    ) -> Float[ndarray, "items width"]:
        """What the tokenizer reads of items that came after it was fitted, in the rows from `first_row` on.

        Their collaborative vectors are predicted from their content; their place in the order of appearance is behind
        all others, by row.
        """
        if self.kind == "sequential":
            return np.arange(first_row, first_row + num_items, dtype=np.float32)[:, None]
        assert content is not None
        vectors = None if self.collaborative is None else self.collaborative.content_map.predict(content)
        return inputs(content, vectors, self.blend)

    def as_if_later(self, content: Float[ndarray, "items content_dim"] | None) -> ndarray | None:
        """What the tokenizer would read of the items of the fit had they come later: what later ones compare with."""
        if self.kind == "sequential" or content is None:
            return None
        return self.inputs_of_later(content, first_row=0, num_items=len(content))

    def inputs_of_known(
        self, content: Float[ndarray, "items content_dim"] | None, *, scratch: Path | None = None
    ) -> ndarray | None:
        """What the tokenizer was fitted on; None for `sequential`, which remembers no items.

        `scratch`: as in `inputs`.
        """
        if self.kind == "sequential" or content is None:
            return None
        vectors = None if self.collaborative is None else self.collaborative.vectors
        return inputs(content, vectors, self.blend, scratch=scratch)

    def save(self, folder: Path) -> None:
        """Write the tokenizer into the folder, and collaborative vectors and a blend into those below it."""
        self.tokenizer.save_pretrained(folder)
        if self.collaborative is not None:
            self.collaborative.save(folder / COLLABORATIVE_FOLDER)
        if self.blend is not None:
            self.blend.save(folder / BLEND_FOLDER)

    @classmethod
    def load(cls, folder: Path, *, kind: TokenizerKind, collaborative_weight: float) -> "FittedTokenizer":
        """Read what `save` wrote. Raises ValueError for a file that is missing or damaged."""
        tokenizer, collaborative = load_tokenizer(folder), None
        if kind in ("collaborative", "hybrid") or collaborative_weight:
            collaborative = Collaborative.load(folder / COLLABORATIVE_FOLDER)
        return cls(tokenizer, kind, collaborative, Blend.load(folder / BLEND_FOLDER) if collaborative_weight else None)


def fit_tokenizer(
    vectors: Float[ndarray, "items width"],
    config: TokenizerConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tokenizer:
    """A tokenizer of the configured kind, fitted to these inputs. Raises ValueError where it cannot be."""
    options = {} if config.section is None else {"config": _options(config)}
    return _CLASS_OF[config.kind].fit(
        vectors,
        num_levels=config.num_levels,
        codebook_size=config.codebook_size,
        seed=seed,
        progress=progress,
        **options,
    )


def fitted_blend(
    content: Float[ndarray, "items content_dim"] | None, collaborative: Collaborative | None, *, weight: float
) -> Blend | None:
    """How content and collaborative vectors go together; None where one of them is read alone."""
    if not weight or content is None or collaborative is None:
        return None
    return Blend.fit(content, collaborative.vectors, weight=weight)


def inputs(
    content: Float[ndarray, "items content_dim"],
    vectors: Float[ndarray, "items dim"] | None,
    blend: Blend | None,
    *,
    scratch: Path | None = None,
) -> Float[ndarray, "items width"]:
    """Content alone, collaborative vectors alone (if there are some), or both as the blend says.

    `scratch`: a folder for them where they would fill much memory.
    """
    if vectors is None:
        return content
    return vectors if blend is None else blend.apply(content, vectors, scratch=scratch)


def _options(config: TokenizerConfig) -> Any:
    """The section of the kind as its class wants it; a blend is prepared already, and only centred once more."""
    options = config.section
    if config.blended_weight and hasattr(options, "preparation"):
        return replace(options, preparation="centre")
    if config.kind in ("collaborative", "hybrid"):
        chosen = HierarchicalKMeansConfig if config.kind == "collaborative" else HybridCodesConfig
        return chosen(**asdict(options))
    return options
