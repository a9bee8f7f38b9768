"""Residual quantisation: one level, all levels, and the two ways of passing gradients through them."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Distance = Literal["squared", "cosine"]


def nearest_codes(
    residuals: Float[Tensor, "items dim"], codebook: Float[Tensor, "codes dim"], *, distance: Distance = "squared"
) -> Int[Tensor, " items"]:
    """Index of the codebook vector closest to each residual, by squared distance or by angle ("cosine").

    Ties go to the lowest index, so that IDs do not change between runs.
    """
    if distance == "cosine":
        return (residuals @ nn.functional.normalize(codebook, dim=1).T).argmax(dim=1)
    # |x - c|^2 without |x|^2, which is the same for every code
    distances = torch.addmm(codebook.square().sum(dim=1), residuals, codebook.T, alpha=-2)
    return distances.argmin(dim=1)


def distances_to_codes(
    residuals: Float[Tensor, "items dim"], codebook: Float[Tensor, "codes dim"], *, distance: Distance = "squared"
) -> Float[Tensor, "items codes"]:
    """Squared distance of each residual to each codebook vector; of their unit vectors for "cosine"."""
    if distance == "cosine":
        residuals, codebook = (nn.functional.normalize(part, dim=1) for part in (residuals, codebook))
    products = residuals @ codebook.T
    return (residuals.square().sum(1, keepdim=True) - 2 * products + codebook.square().sum(1)).clamp(min=0)


class Quantized(NamedTuple):
    """What all levels together make of some vectors."""

    codes: Int[Tensor, "items levels"]
    residuals: Float[Tensor, "levels items dim"]
    """What each level was given: the vector less the codebook vectors of the levels before."""
    chosen: Float[Tensor, "levels items dim"]
    """The codebook vector that each level chose; their sum is the quantised vector."""


def quantize(
    vectors: Float[Tensor, "items dim"],
    codebooks: Float[Tensor, "levels codes dim"],
    *,
    distance: Distance = "squared",
) -> Quantized:
    """Each level codes what the levels before left over.

    The residual is cut off from the codebooks of earlier levels (stop-gradient), so that a level learns its own
    residual and nothing else; Zeghidour et al. 2021 (SoundStream), algorithm 1.
    """
    codes, residuals, chosen = [], [], []
    residual = vectors
    for codebook in codebooks:
        level_codes = nearest_codes(residual.detach(), codebook.detach(), distance=distance)
        level_vectors = nn.functional.embedding(level_codes, codebook)
        codes.append(level_codes)
        residuals.append(residual)
        chosen.append(level_vectors)
        residual = residual - level_vectors.detach()
    return Quantized(torch.stack(codes, dim=1), torch.stack(residuals), torch.stack(chosen))


def straight_through(vectors: Float[Tensor, "items dim"], quantized: Quantized) -> Float[Tensor, "items dim"]:
    """The sum of the chosen codebook vectors; gradients pass to `vectors` as if nothing had been quantised."""
    return vectors + (quantized.chosen.sum(dim=0) - vectors).detach()


def rotated(vectors: Float[Tensor, "items dim"], quantized: Quantized) -> Float[Tensor, "items dim"]:
    """The sum of the chosen codebook vectors; gradients turn and stretch as `vectors` turn into it.

    The rotation trick (Fifty et al. 2024, 2410.06424, eq. 4): the quantised vector is (|q| / |e|) R e with R the
    rotation from e to q, both held constant. Two reflections make R, so no matrix is built.
    """
    target = quantized.chosen.sum(dim=0).detach()
    fixed = vectors.detach()
    unit_vector, unit_target = nn.functional.normalize(fixed, dim=1), nn.functional.normalize(target, dim=1)
    halfway = nn.functional.normalize(unit_vector + unit_target, dim=1)
    stretch = target.norm(dim=1, keepdim=True) / fixed.norm(dim=1, keepdim=True).clamp(min=1e-12)
    reflected = vectors - 2 * (vectors * halfway).sum(dim=1, keepdim=True) * halfway
    turned = reflected + 2 * (vectors * unit_vector).sum(dim=1, keepdim=True) * unit_target
    return stretch * turned
