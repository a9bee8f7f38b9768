"""A rotation whose equal parts are easy to code, and the codebook of each part."""

from collections.abc import Callable

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.distances import nearest
from tokenizer.kmeans import kmeans_codebook


def learned_rotation(
    points: Float[ndarray, "points dim"], num_parts: int, num_codes: int, *, seed: int, iterations: int
) -> Float[ndarray, "dim rotated"]:
    """Orthonormal columns, as many as the largest multiple of `num_parts` that fits into dim.

    The non-parametric solution of Ge et al. 2013 (Optimized Product Quantization): a k-means step in each part, then
    the rotation that brings the points closest to their codes, in turn; from a seeded random rotation and the first
    points as codes. The same steps as faiss's OPQMatrix, several times as fast for thousands of points.
    """
    dim = points.shape[1]
    width = dim // num_parts
    kept = num_parts * width
    points_32 = points.astype(np.float32)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]
    restored = np.zeros((len(points), dim), dtype=np.float32)  # what is not kept is restored as zero
    codebooks = None
    for _ in range(iterations):
        rotated = points_32 @ rotation[:, :kept].astype(np.float32)
        parts = [np.ascontiguousarray(part) for part in np.split(rotated, num_parts, axis=1)]
        codebooks = codebooks or [part[:num_codes] for part in parts]
        for place, part in enumerate(parts):
            codebooks[place], codes = _kmeans_step(part, codebooks[place])
            restored[:, place * width : (place + 1) * width] = codebooks[place][codes]
        # orthogonal Procrustes
        left, _, right = np.linalg.svd((points_32.T @ restored).astype(np.float64))
        rotation = left @ right
    return rotation[:, :kept]


def product_codebooks(
    rotated: Float[ndarray, "points rotated"],
    num_parts: int,
    num_codes: int,
    *,
    seed: int,
    iterations: int,
    progress: Callable[[int, int], None],
) -> Float[ndarray, "{num_parts} {num_codes} width"]:
    """k-means of each part, every code in use. `progress(parts done, parts)` is called before each."""
    codebooks = []
    for place, part in enumerate(np.split(rotated, num_parts, axis=1)):
        progress(place, num_parts)
        codebook = kmeans_codebook(
            part.astype(np.float32), num_codes, seed=seed + place, iterations=iterations, max_points_per_code=len(part)
        )
        codebooks.append(move_empty_codes(codebook, part))
    return np.stack(codebooks)


def nearest_per_part(
    rotated: Float[ndarray, "points rotated"], codebooks: Float[ndarray, "parts codes width"]
) -> Int[ndarray, "points parts"]:
    """Code of each point in each part."""
    parts = np.split(rotated, len(codebooks), axis=1)
    return np.stack([nearest(part, codebook) for part, codebook in zip(parts, codebooks, strict=True)], axis=1)


def move_empty_codes(
    codebook: Float[ndarray, "codes dim"], points: Float[ndarray, "points dim"], *, max_rounds: int = 10
) -> Float[ndarray, "codes dim"]:
    """The codebook with codes that no point has in float64 moved onto points that are worst served.

    k-means saw to it in float32, where a few points on the border between two codes may fall to the other side.
    """
    codebook = codebook.copy()
    for _ in range(max_rounds):
        codes = nearest(points, codebook)
        empty = np.flatnonzero(np.bincount(codes, minlength=len(codebook)) == 0)
        if len(empty) == 0:
            break
        errors = np.square(points - codebook[codes]).sum(axis=1)
        worst = np.argsort(-errors, kind="stable")
        worst = worst[errors[worst] > 1e-10 * np.square(points).sum(axis=1).max()][: 4 * len(empty)]
        _, first = np.unique(points[worst], axis=0, return_index=True)
        targets = worst[np.sort(first)][: len(empty)]
        codebook[empty[: len(targets)]] = points[targets]
    return codebook


def _kmeans_step(
    points: Float[ndarray, "points width"], codebook: Float[ndarray, "codes width"]
) -> tuple[Float[ndarray, "codes width"], Int[ndarray, " points"]]:
    index = faiss.IndexFlatL2(codebook.shape[1])  # float32, and six times as fast as `nearest`, will do for a rotation
    index.add(codebook)
    codes = torch.from_numpy(index.search(points, 1)[1][:, 0])
    sums = torch.zeros(codebook.shape).index_add_(0, codes, torch.from_numpy(points))
    counts = torch.bincount(codes, minlength=len(codebook))[:, None]
    means = torch.where(counts > 0, sums / counts.clamp(min=1), torch.from_numpy(codebook))
    return means.numpy(), codes.numpy()
