"""Residual quantisation: one level, and all levels with straight-through gradients."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def nearest_codes(residuals: Float[Tensor, "items dim"], codebook: Float[Tensor, "codes dim"]) -> Int[Tensor, " items"]:
    """Index of the codebook vector closest to each residual, by squared distance.

    Ties go to the lowest index, so that IDs do not change between runs.
    """
    # |x - c|^2 without |x|^2, which is the same for every code
    distances = torch.addmm(codebook.square().sum(dim=1), residuals, codebook.T, alpha=-2)
    return distances.argmin(dim=1)


class Quantized(NamedTuple):
    """What all levels together make of some vectors."""

    codes: Int[Tensor, "items levels"]
    residuals: Float[Tensor, "levels items dim"]
    """What each level was given: the vector less the codebook vectors of the levels before."""
    chosen: Float[Tensor, "levels items dim"]
    """The codebook vector that each level chose; their sum is the quantised vector."""


def quantize(vectors: Float[Tensor, "items dim"], codebooks: Float[Tensor, "levels codes dim"]) -> Quantized:
    """Each level codes what the levels before left over.

    The residual is cut off from the codebooks of earlier levels (stop-gradient), so that a level learns its own
    residual and nothing else; Zeghidour et al. 2021 (SoundStream), algorithm 1.
    """
    codes, residuals, chosen = [], [], []
    residual = vectors
    for codebook in codebooks:
        level_codes = nearest_codes(residual.detach(), codebook.detach())
        level_vectors = nn.functional.embedding(level_codes, codebook)
        codes.append(level_codes)
        residuals.append(residual)
        chosen.append(level_vectors)
        residual = residual - level_vectors.detach()
    return Quantized(torch.stack(codes, dim=1), torch.stack(residuals), torch.stack(chosen))


def straight_through(vectors: Float[Tensor, "items dim"], quantized: Quantized) -> Float[Tensor, "items dim"]:
    """The sum of the chosen codebook vectors; gradients pass to `vectors` as if nothing had been quantised."""
    return vectors + (quantized.chosen.sum(dim=0) - vectors).detach()


def sum_of_codes(
    codes: Int[Tensor, "items levels"], codebooks: Float[Tensor, "levels codes dim"]
) -> Float[Tensor, "items dim"]:
    """Quantised vectors from their codes."""
    levels = torch.arange(len(codebooks), device=codes.device)
    return codebooks[levels, codes].sum(dim=1)
