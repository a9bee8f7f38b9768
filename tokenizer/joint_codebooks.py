"""Codebooks and codes of all levels fitted to each other: additive quantisation (Babenko & Lempitsky 2014)."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from tokenizer.contract import ENCODE_ITEMS
from tokenizer.quantizer import Distance
from tokenizer.residual_levels import Level, ResidualLevels, sums_of_codes


def least_squares_codebooks(
    vectors: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"], codebook_size: int, *, ridge: float
) -> Float[ndarray, "levels codes dim"]:
    """The codebooks whose sums come nearest to the vectors, for these codes (section 4.2 there).

    `ridge` draws every code to zero like so many items at zero would: it decides what the data leave open (the sums of
    levels are known up to constants only), and keeps a code of few items from learning them by heart.
    """
    num_levels = codes.shape[1]
    together = np.empty((num_levels, codebook_size, num_levels, codebook_size))
    for one in range(num_levels):
        for other in range(num_levels):
            pairs = codes[:, one] * codebook_size + codes[:, other]
            together[one, :, other] = np.bincount(pairs, minlength=codebook_size**2).reshape(codebook_size, -1)
    normal = together.reshape(num_levels * codebook_size, -1)
    sums = np.concatenate([sums_of_codes(vectors, codes[:, level], codebook_size) for level in range(num_levels)])
    normal[np.diag_indices_from(normal)] += ridge
    solved = np.linalg.solve(normal, sums)
    return solved.reshape(num_levels, codebook_size, -1).astype(np.float32)


def code_corrections(
    embeddings: Float[ndarray, "items dim"],
    decoded: Float[ndarray, "items dim"],
    codes: Int[ndarray, "items levels"],
    codebook_size: int,
) -> Float[ndarray, "levels codes dim"]:
    """What each code should add to the decoded embeddings of its items, so that their squared error is least."""
    return least_squares_codebooks(embeddings - decoded, codes, codebook_size, ridge=1.0)


def refined_codebooks(
    prepared: Float[ndarray, "items dim"], levels: ResidualLevels, *, rounds: int, beam_size: int
) -> ResidualLevels:
    """The levels (all dimensions) after `rounds` of solving for the codebooks and coding all items anew."""
    size = levels.level_sizes[0]
    codes = levels.encode(prepared)
    codebooks = np.stack([level.centroids for level in levels.levels])
    for _ in range(rounds):
        codebooks = least_squares_codebooks(prepared, codes, size, ridge=1e-3)
        codes = beam_codes(prepared, codebooks, beam_size=beam_size)
    return ResidualLevels(tuple(Level(None, codebook, codebook) for codebook in codebooks))


def searched_codes(
    prepared: Float[ndarray, "items dim"], levels: ResidualLevels, *, beam_size: int, distance: Distance = "squared"
) -> Int[ndarray, "items levels"]:
    """Codes by the nearest landmark level by level; by a beam search for the least error if `beam_size` is above 1."""
    if beam_size == 1:
        return levels.encode(prepared, distance=distance)
    return beam_codes(prepared, np.stack([level.centroids for level in levels.levels]), beam_size=beam_size)


def beam_codes(
    vectors: Float[ndarray, "items dim"], codebooks: Float[ndarray, "levels codes dim"], *, beam_size: int
) -> Int[ndarray, "items levels"]:
    """Codes of little squared error, level by level with the `beam_size` best partial sums kept (float64)."""
    books = torch.from_numpy(codebooks).double()
    flat = books.flatten(0, 1)
    gram = flat @ flat.T
    parts = [
        _beam_part(
            torch.from_numpy(np.asarray(vectors[start : start + ENCODE_ITEMS // 4])).double(), books, gram, beam_size
        )
        for start in range(0, max(len(vectors), 1), ENCODE_ITEMS // 4)
    ]
    return torch.cat(parts).numpy()


def _beam_part(
    vectors: Float[Tensor, "items dim"],
    codebooks: Float[Tensor, "levels codes dim"],
    gram: Float[Tensor, "all all"],
    beam_size: int,
) -> Int[Tensor, "items levels"]:
    """|x - sum of codes|^2 less |x|^2, kept up level by level from products of pairs."""
    num_levels, size, _ = codebooks.shape
    own = gram.diagonal() - 2 * vectors @ codebooks.flatten(0, 1).T
    codes = torch.empty(len(vectors), 1, 0, dtype=torch.int64)
    costs = torch.zeros(len(vectors), 1, dtype=own.dtype)
    for level in range(num_levels):
        here = slice(level * size, (level + 1) * size)
        offered = costs[:, :, None] + own[:, None, here]
        for before in range(level):
            offered = offered + 2 * gram[before * size : (before + 1) * size, here][codes[:, :, before]]
        kept = min(beam_size if level + 1 < num_levels else 1, offered.shape[1] * size)
        costs, chosen = offered.flatten(1).topk(kept, largest=False)
        parents = codes.gather(1, (chosen // size)[:, :, None].expand(-1, -1, level))
        codes = torch.cat([parents, (chosen % size)[:, :, None]], dim=2)
    return codes[:, 0]
