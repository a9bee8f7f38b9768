"""Starting points for codebooks: seeded k-means (faiss), every code in use."""

from collections.abc import Callable

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.quantizer import nearest_codes


def kmeans_codebook(
    points: Float[ndarray, "points dim"],
    num_codes: int,
    *,
    seed: int,
    iterations: int = 25,
    max_points_per_code: int = 256,
) -> Float[ndarray, "{num_codes} dim"]:
    """Centroids of k-means, the same for the same points, seed and faiss.

    More than `max_points_per_code * num_codes` points are sampled down for the fit. A code that no point chose is moved
    onto the point farthest from its own code, so that as many codes are used as there are distinct points.

    Raises:
        ValueError: there are fewer points than codes.
    """
    if len(points) < num_codes:
        remedy = f"use a codebook_size of at most {len(points)}" if len(points) > 1 else "bring more items"
        raise ValueError(
            f"k-means for {num_codes} codes needs at least {num_codes} points, but there are {len(points)}; {remedy}"
        )
    points = np.ascontiguousarray(points, dtype=np.float32)
    kmeans = faiss.Kmeans(
        points.shape[1],
        num_codes,
        niter=iterations,
        seed=seed % 2**31,  # faiss keeps a C int
        min_points_per_centroid=1,  # only the limit for a warning on stderr
        max_points_per_centroid=max_points_per_code,
    )
    kmeans.train(points)
    centroids = np.array(kmeans.centroids, dtype=np.float32)
    return move_unused_codes(centroids, points)


def move_unused_codes(
    codebook: Float[ndarray, "codes dim"], points: Float[ndarray, "points dim"], *, max_rounds: int = 10
) -> Float[ndarray, "codes dim"]:
    """The codebook with every unused code moved onto one of the points that are worst served.

    Equal points are moved to once. A move may empty another code, hence the rounds; codes stay unused only where
    there are fewer distinct points than codes.
    """
    codebook = codebook.copy()
    for _ in range(max_rounds):
        codes, squared_distances = _nearest(points, codebook)
        unused = np.flatnonzero(np.bincount(codes, minlength=len(codebook)) == 0)
        if len(unused) == 0:
            break
        worst = np.argsort(-squared_distances, kind="stable")
        worst = worst[squared_distances[worst] > 0][: 4 * len(unused)]
        _, first = np.unique(points[worst], axis=0, return_index=True)
        targets = worst[np.sort(first)][: len(unused)]
        if len(targets) == 0:
            break
        codebook[unused[: len(targets)]] = points[targets]
    return codebook


def residual_codebooks(
    points: Float[ndarray, "points dim"], num_levels: int, one_codebook: Callable[..., ndarray]
) -> Float[ndarray, "{num_levels} codes dim"]:
    """One codebook per level, `one_codebook(residuals, level)` of what the levels before left over."""
    codebooks = []
    for level in range(num_levels):
        codebook = one_codebook(points, level)
        codes = nearest_codes(torch.from_numpy(points), torch.from_numpy(codebook)).numpy()
        points = points - codebook[codes]
        codebooks.append(codebook)
    return np.stack(codebooks)


def _nearest(
    points: Float[ndarray, "points dim"], codebook: Float[ndarray, "codes dim"]
) -> tuple[Int[ndarray, " points"], Float[ndarray, " points"]]:
    index = faiss.IndexFlatL2(codebook.shape[1])
    index.add(codebook)
    squared_distances, codes = index.search(points, 1)
    # |x|^2 - 2xc + |c|^2 leaves dust on points that sit on their code
    scale = float(np.square(points).sum(axis=1).mean()) or 1.0
    squared_distances[squared_distances < 1e-6 * scale] = 0.0
    return codes[:, 0], squared_distances[:, 0]
