"""Codebooks as moving averages of what their codes were chosen for."""

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from tokenizer.quantizer import Quantized

_LEAST_COUNT = 1e-12
"""A code that has not been chosen for so long stays where it is: its sum is rounding by now."""


class CodeAverages:
    """Moves codebooks in place (van den Oord et al. 2017, appendix A.1), the same on every process.

    Counts and sums start with one pseudo-item at the code's own place, so that a code which is not chosen stays there.
    """

    def __init__(self, codebooks: Float[Tensor, "levels codes dim"], decay: float) -> None:
        self.codebooks = codebooks
        self.decay = decay
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Forget what was seen: the codebooks have been set by other means."""
        self.counts = torch.ones(self.codebooks.shape[:2], device=self.codebooks.device)
        self.sums = self.codebooks.detach().clone()

    @torch.no_grad()
    def update(self, quantized: Quantized, accelerator: Accelerator) -> None:
        """Take in one batch, each process its share."""
        counts, sums = torch.zeros_like(self.counts), torch.zeros_like(self.sums)
        for level, codes in enumerate(quantized.codes.unbind(dim=1)):
            counts[level].index_add_(0, codes, torch.ones_like(codes, dtype=counts.dtype))
            sums[level].index_add_(0, codes, quantized.residuals[level].detach())
        counts, sums = (_summed(part, accelerator) for part in (counts, sums))
        self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        seen = (self.counts > _LEAST_COUNT)[:, :, None]
        self.codebooks.copy_(torch.where(seen, self.sums / self.counts[:, :, None], self.codebooks))


def _summed(part: Tensor, accelerator: Accelerator) -> Tensor:
    summed = accelerator.reduce(part)
    assert isinstance(summed, Tensor)
    return summed
