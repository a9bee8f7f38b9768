"""Who is taken with whom -> vectors: items that stand in the same places of the training sequences are near each other.

Two items co-occur when at most `window` steps lie between them in one user's sequence; a pair `d` steps apart counts
1/d. The counts become positive pointwise mutual information, whose truncated singular value decomposition gives the
vectors: what skip-gram with negative sampling does implicitly (Levy & Goldberg 2014, "Neural word embedding as implicit
matrix factorization", sections 3 and 4.2: rows of U times the root of the singular values).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import svds

from genrec.data.interactions import Interactions
from genrec.data.splits import Splits

_DENSE_ITEMS = 256  # so small a matrix is decomposed whole; the iterative solver wants more rows than vectors


@dataclass(frozen=True)
class CollaborativeConfig:
    """How vectors are made of the training sequences.

    dim: width of the vectors.
    window: items at most so many steps apart co-occur.
    ridge: how strongly the prediction from content is held to the mean, relative to the content's variance.
    """

    dim: int = 64
    window: int = 4
    ridge: float = 1.0

    def __post_init__(self) -> None:
        for name in ("dim", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.ridge > 0:
            raise ValueError(f"ridge must be above 0, got {self.ridge}")


class TrainingSequences(NamedTuple):
    """The training parts alone: user `u` has `items[offsets[u]:offsets[u + 1]]`, rows, oldest first."""

    items: Int[ndarray, " interactions"]
    offsets: Int[ndarray, " users+1"]


class NoNeighboursError(ValueError):
    """The sequences say nothing about which items go together."""


class CollaborativeVectors(NamedTuple):
    """A vector of length 1 for each item that has co-occurred with another; zeros for the others."""

    vectors: Float32[ndarray, "items dim"]
    seen: Bool[ndarray, " items"]


def training_sequences(interactions: Interactions, splits: Splits) -> TrainingSequences:
    """Every user's sequence up to the first held-out interaction: what comes later is not even passed on."""
    lengths = splits.train_end - interactions.offsets[:-1]
    users = np.repeat(np.arange(interactions.num_users), np.diff(interactions.offsets))
    trains = np.arange(interactions.num_interactions) < splits.train_end[users]
    return TrainingSequences(interactions.items[trains], np.concatenate([[0], np.cumsum(lengths)]))


def first_appearances(sequences: TrainingSequences, num_items: int) -> Int[ndarray, " items"]:
    """Place of each item in the order of first appearance, user after user; items that never appear follow by row."""
    appeared, first = np.unique(sequences.items, return_index=True)
    moments = np.full(num_items, len(sequences.items), dtype=np.int64)
    moments[appeared] = first
    places = np.empty(num_items, dtype=np.int64)
    places[np.argsort(moments, kind="stable")] = np.arange(num_items)
    return places


def collaborative_vectors(
    sequences: TrainingSequences, num_items: int, *, config: CollaborativeConfig, seed: int
) -> CollaborativeVectors:
    """Vectors of the items by their neighbours in the sequences; the same for the same input and seed.

    Raises:
        NoNeighboursError: no two items co-occur more than by chance.
    """
    information = positive_information(co_occurrences(sequences, num_items, window=config.window))
    known = np.flatnonzero(np.diff(information.indptr))
    if len(known) < 2:
        raise NoNeighboursError(
            "no item stands nearer to another in the training sequences than chance would have it; "
            "take a kind that reads content, with collaborative_weight 0"
        )
    vectors = np.zeros((num_items, config.dim), dtype=np.float32)
    scaled = _decomposed(information[known][:, known], config.dim, seed=seed)
    vectors[known, : scaled.shape[1]] = unit_rows(scaled)
    return CollaborativeVectors(vectors, np.asarray(vectors.any(axis=1)))


def co_occurrences(sequences: TrainingSequences, num_items: int, *, window: int) -> csr_array:
    """Symmetric table (items x items) of how often two different items stand together: 1/d for a pair d steps apart."""
    users = np.repeat(np.arange(len(sequences.offsets) - 1), np.diff(sequences.offsets))
    counts = csr_array((num_items, num_items), dtype=np.float64)
    for distance in range(1, window + 1):
        same_user = users[:-distance] == users[distance:]
        earlier, later = sequences.items[:-distance][same_user], sequences.items[distance:][same_user]
        different = earlier != later
        weights = np.full(int(different.sum()), 1 / distance)
        pairs = (earlier[different], later[different])
        counts = counts + coo_array((weights, pairs), shape=counts.shape).tocsr()
    return csr_array(counts + counts.T)


def positive_information(counts: csr_array) -> csr_array:
    """max(0, log(p(i, j) / (p(i) p(j)))) for the pairs that occur; the others are 0 and stay unstored."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    pairs = counts.tocoo()
    first, second = pairs.coords
    information = np.log(pairs.data * totals.sum() / (totals[first] * totals[second]))
    kept = information > 0
    return coo_array((information[kept], (first[kept], second[kept])), shape=counts.shape).tocsr()


def unit_rows(vectors: Float[ndarray, "items dim"]) -> Float32[ndarray, "items dim"]:
    """The rows at length 1; rows (next to) zero become zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    shortest = 1e-9 * max(float(lengths.max(initial=0)), 1e-30)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > shortest).astype(np.float32)


def _decomposed(information: csr_array, dim: int, *, seed: int) -> Float[ndarray, "items dim"]:
    """U times the root of the singular values, the largest first; the largest entry of each column is positive."""
    num_items = len(information.indptr) - 1
    if num_items <= max(_DENSE_ITEMS, dim + 1):
        left, strengths, _ = np.linalg.svd(information.toarray())
    else:
        start = np.random.default_rng(seed).standard_normal(num_items)  # else ARPACK draws one of its own
        parts = [np.asarray(part) for part in svds(information, k=dim, v0=start)]
        left, strengths = parts[0][:, ::-1], parts[1][::-1]
    left, strengths = left[:, :dim], strengths[:dim]
    largest = np.abs(left).argmax(axis=0)
    return left * np.sign(left[largest, np.arange(left.shape[1])]) * np.sqrt(strengths)
