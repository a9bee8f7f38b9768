"""Items -> semantic IDs, as an experiment asks for them: fitted from embeddings, or read from a file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from jaxtyping import Float
from numpy import ndarray

from genrec.errors import DataError
from tokenizer import RQVAE, Health, ResidualKMeans, ResidualKMeansConfig, RQVAEConfig, SemanticIDs, health


@dataclass(frozen=True)
class TokenizerConfig:
    """Which semantic IDs the items get: learned from their embeddings, or read from a file."""

    kind: Literal["rqvae", "residual_kmeans"] = "rqvae"
    num_levels: int = 3
    codebook_size: int = 256
    codes: str | None = None
    """A file of ready-made codes (JSON item_id -> list of codes, or .npz); nothing is fitted then."""
    collisions: Literal["extra_code", "keep"] = "extra_code"
    """Items with equal codes: one more level tells them apart, or they stay together."""
    rqvae: RQVAEConfig = field(default_factory=RQVAEConfig)
    residual_kmeans: ResidualKMeansConfig = field(default_factory=ResidualKMeansConfig)

    def __post_init__(self) -> None:
        if self.num_levels < 1:
            raise ValueError(f"num_levels must be at least 1, got {self.num_levels}")
        if self.codebook_size < 2:
            raise ValueError(f"codebook_size must be at least 2, got {self.codebook_size}")


class Tokenized(NamedTuple):
    """What every item is called, how healthy the codes are, and what made them (None: a file)."""

    semantic_ids: SemanticIDs
    health: Health
    fitted: RQVAE | ResidualKMeans | None


def read_semantic_ids(path: Path, item_ids: ndarray, config: TokenizerConfig) -> Tokenized:
    """Ready-made codes of these items; `DataError` if the file lacks one, or is not as documented."""
    try:
        semantic_ids = SemanticIDs.read(path, item_ids=item_ids, collisions=config.collisions)
    except ValueError as error:
        raise DataError(f"tokenizer.codes: {error}") from error
    return Tokenized(semantic_ids, health(semantic_ids.codes, semantic_ids.level_sizes, ids=semantic_ids), None)


def fit_semantic_ids(
    embeddings: Float[ndarray, "items dim"],
    item_ids: ndarray,
    config: TokenizerConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tokenized:
    """Codes of a tokenizer fitted to these embeddings; `DataError` if it cannot be."""
    try:
        fitted = _fit(embeddings, config, seed=seed, progress=progress)
    except ValueError as error:
        raise DataError(f"the tokenizer cannot be fitted: {error}") from error
    codes = fitted.encode(embeddings)
    semantic_ids = SemanticIDs.from_codes(
        codes, level_sizes=fitted.level_sizes, item_ids=item_ids, collisions=config.collisions
    )
    checked = health(
        codes, fitted.level_sizes, ids=semantic_ids, embeddings=embeddings, reconstruction=fitted.decode(codes)
    )
    return Tokenized(semantic_ids, checked, fitted)


def _fit(
    embeddings: Float[ndarray, "items dim"],
    config: TokenizerConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> RQVAE | ResidualKMeans:
    levels, size = config.num_levels, config.codebook_size
    if config.kind == "rqvae":
        return RQVAE.fit(
            embeddings, num_levels=levels, codebook_size=size, seed=seed, config=config.rqvae, progress=progress
        )
    options = config.residual_kmeans
    return ResidualKMeans.fit(
        embeddings, num_levels=levels, codebook_size=size, seed=seed, config=options, progress=progress
    )
