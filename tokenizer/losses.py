"""The three terms of an RQ-VAE's loss, per item: pure functions, means over dimensions."""

from jaxtyping import Float
from torch import Tensor


def reconstruction_loss(
    decoded: Float[Tensor, "items dim"], standardised: Float[Tensor, "items dim"]
) -> Float[Tensor, " items"]:
    """Mean squared error of each item; 1 is what decoding everything to the mean costs on average."""
    return (decoded - standardised).square().mean(dim=1)


def codebook_loss(
    residuals: Float[Tensor, "levels items dim"], chosen: Float[Tensor, "levels items dim"]
) -> Float[Tensor, " items"]:
    """How far the chosen codebook vectors are from the residuals, summed over levels; moves the codebooks only.

    van den Oord et al. 2017 (VQ-VAE), eq. 3, second term.
    """
    return (residuals.detach() - chosen).square().mean(dim=2).sum(dim=0)


def commitment_loss(
    residuals: Float[Tensor, "levels items dim"], chosen: Float[Tensor, "levels items dim"]
) -> Float[Tensor, " items"]:
    """The same distance, moving the encoder only: it shall stay with what it chose (eq. 3, third term)."""
    return (residuals - chosen.detach()).square().mean(dim=2).sum(dim=0)
