"""How good a set of codes is: usage, perplexity, collisions, reconstruction. And an alarm on collapse."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.semantic_ids import SemanticIDs

logger = logging.getLogger(__name__)

LEAST_USAGE = 0.5
LEAST_PERPLEXITY = 0.1
"""Of the number of codes that could be in use; residual quantisers in order have .7 and more."""


@dataclass(frozen=True)
class Health:
    """Figures of one tokenizer on one catalogue, per level of the codes before any extra code."""

    num_items: int
    level_sizes: tuple[int, ...]
    codes_used: tuple[int, ...]
    usage: tuple[float, ...]
    """Share of the codes in use, of those that could be: min(level size, items)."""
    perplexity: tuple[float, ...]
    """exp(entropy) of the codes: how many equally used codes carry as much."""
    prefix_collisions: tuple[float, ...]
    """Share of items that have their codes up to this level in common with another item."""
    largest_prefix: tuple[int, ...]
    """Items under the fullest prefix of each length."""
    unique_share: float
    """Share of items whose codes no other item has."""
    extra_codes: int
    """Size of the level that tells colliding items apart; 0 without one."""
    relative_error: float | None
    """Squared error of the reconstruction over that of the mean embedding: 0 is perfect, 1 is useless."""
    cosine: float | None
    """Mean cosine between embedding and reconstruction."""

    @property
    def alarm(self) -> str | None:
        """What is wrong and what to do, or None."""
        possible = [min(size, self.num_items) for size in self.level_sizes]
        for level, (used, perplexity, codes) in enumerate(zip(self.codes_used, self.perplexity, possible, strict=True)):
            if used < LEAST_USAGE * codes or perplexity < LEAST_PERPLEXITY * codes:
                return (
                    f"codebook collapse: level {level} uses {used} of {codes} possible codes (perplexity "
                    f"{perplexity:.1f}), so that many items get alike IDs; check that the embeddings differ between "
                    "items, lower learning_rate, raise reset_until_epoch or epochs, take a smaller codebook_size, or "
                    "fit ResidualKMeans"
                )
        return None

    def line(self) -> str:
        """One line for the terminal."""
        parts = [
            "x".join(str(size) for size in self.level_sizes) + " codes",
            "usage " + "/".join(f"{100 * share:.0f}" for share in self.usage) + " %",
            "perplexity " + "/".join(f"{value:.0f}" for value in self.perplexity),
            "collisions " + "/".join(f"{100 * share:.1f}" for share in self.prefix_collisions) + " %",
            f"unique {100 * self.unique_share:.1f} %",
        ]
        if self.extra_codes:
            parts.append(f"extra code 0..{self.extra_codes - 1}")
        if self.relative_error is not None:
            parts.append(f"relative error {self.relative_error:.3f}")
        if self.cosine is not None:
            parts.append(f"cosine {self.cosine:.3f}")
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {**asdict(self), "alarm": self.alarm}


def health(
    codes: Int[ndarray, "items levels"],
    level_sizes: Sequence[int],
    *,
    ids: SemanticIDs | None = None,
    embeddings: Float[ndarray, "items dim"] | None = None,
    reconstruction: Float[ndarray, "items dim"] | None = None,
) -> Health:
    """Figures of the codes as the tokenizer gave them, without an extra code.

    Args:
        ids: the table made from the codes; says how large the extra level is.
        embeddings, reconstruction: input and `decode(codes)`, in the same units; both or none.
    """
    sizes = tuple(int(size) for size in level_sizes)
    if codes.ndim != 2 or codes.shape[1] != len(sizes) or len(codes) == 0:
        raise ValueError(f"expected codes of shape (items, {len(sizes)}) with at least one item, got {codes.shape}")
    if (embeddings is None) != (reconstruction is None):
        raise ValueError("reconstruction is judged against embeddings: give both or none")
    counts = [np.bincount(level_codes, minlength=size) for level_codes, size in zip(codes.T, sizes, strict=True)]
    sharing = _items_per_prefix(codes)
    used = tuple(int(np.count_nonzero(count)) for count in counts)
    collisions = tuple(float((items > 1).mean()) for items in sharing)
    error = cosine = None
    if embeddings is not None and reconstruction is not None:
        error, cosine = relative_error(embeddings, reconstruction), mean_cosine(embeddings, reconstruction)
    return Health(
        num_items=len(codes),
        level_sizes=sizes,
        codes_used=used,
        usage=tuple(number / min(size, len(codes)) for number, size in zip(used, sizes, strict=True)),
        perplexity=tuple(_perplexity(count) for count in counts),
        prefix_collisions=collisions,
        largest_prefix=tuple(int(items.max()) for items in sharing),
        unique_share=1 - collisions[-1],
        extra_codes=ids.level_sizes[-1] if ids is not None and ids.id_length > len(sizes) else 0,
        relative_error=error,
        cosine=cosine,
    )


def warn_of_collapse(codes: Int[ndarray, "items levels"], level_sizes: Sequence[int]) -> None:
    """Log a warning with a remedy if a level uses few of its codes."""
    alarm = health(codes, level_sizes).alarm
    if alarm:
        logger.warning(alarm)


def relative_error(embeddings: Float[ndarray, "items dim"], reconstruction: Float[ndarray, "items dim"]) -> float:
    """Squared error over that of the mean embedding; 0 where the embeddings are all the same and met."""
    error = np.square(embeddings - reconstruction, dtype=np.float64).sum()
    spread = np.square(embeddings - embeddings.mean(axis=0), dtype=np.float64).sum()
    return float(error / spread) if spread > 0 else float(error > 0)


def mean_cosine(embeddings: Float[ndarray, "items dim"], reconstruction: Float[ndarray, "items dim"]) -> float:
    """Mean cosine of the rows; a zero vector counts as 0."""
    products = np.einsum("ij,ij->i", embeddings, reconstruction, dtype=np.float64)
    lengths = np.linalg.norm(embeddings, axis=1).astype(np.float64) * np.linalg.norm(reconstruction, axis=1)
    return float(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())


def _items_per_prefix(codes: Int[ndarray, "items levels"]) -> list[Int[ndarray, " items"]]:
    """For each prefix length: how many items share each item's prefix (itself counted)."""
    sharing = []
    prefix = np.zeros(len(codes), dtype=np.int64)
    for level_codes in codes.T:
        pairs = prefix * (int(level_codes.max()) + 1) + level_codes
        _, prefix, counts = np.unique(pairs, return_inverse=True, return_counts=True)
        sharing.append(counts[prefix])
    return sharing


def _perplexity(counts: Int[ndarray, " codes"]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
