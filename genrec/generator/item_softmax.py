"""Cross-entropy of a softmax over the whole catalogue whose logits never exist all at once.

A batch of a thousand targets over ten thousand items has ten million logits: written, read again for the softmax and
once more for its gradient, they cost more than the arithmetic. Here a chunk of targets stays in the processor's cache
from its logits to its gradient, and only gradients the size of the inputs are kept. Measured on one thread (AVX-512,
2 MiB of L2 cache, float32, 1,100 targets, width 64), both passes: 149 -> 44 ms for 12,101 items, 16 -> 10 ms for 2,420.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function

_LOGITS_PER_CHUNK = 1 << 20  # 4 MiB of float32; a few times more or less makes no difference
_LOGITS_PER_CHUNK_ON_DEVICE = 1 << 27


def item_softmax_cross_entropy(
    states: Float[Tensor, "targets width"],
    item_vectors: Float[Tensor, "items width"],
    rows: Int[Tensor, " targets"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """What `cross_entropy(states @ item_vectors.T, rows, reduction="sum")` gives, in nats, and its gradients.

    Half precision is computed in float32. The gradients are made together with the value, so there are no second ones.

    Raises:
        IndexError: a row lies outside 0..items-1.
    """
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(item_vectors):
        raise IndexError(f"rows must lie in 0..{len(item_vectors) - 1}, got {int(rows.min())}..{int(rows.max())}")
    wide = torch.promote_types(torch.promote_types(states.dtype, item_vectors.dtype), torch.float32)
    loss = _ChunkedCrossEntropy.apply(states.to(wide), item_vectors.to(wide), rows, label_smoothing)
    assert isinstance(loss, Tensor)
    return loss


class _ChunkedCrossEntropy(Function):
    """Value and gradients of the sum, chunk by chunk, in one pass."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, item_vectors: Tensor, rows: Tensor, label_smoothing: float) -> Tensor:
        state_gradient, item_gradient = torch.zeros_like(states), torch.zeros_like(item_vectors)
        loss, chunk = states.new_zeros(()), _chunk_size(item_vectors)
        logits = states.new_empty(min(chunk, len(states)), len(item_vectors))  # fresh memory is slow to touch
        with torch.autocast(states.device.type, enabled=False):
            for begin in range(0, len(states), chunk):
                part = slice(begin, begin + chunk)
                exponentials, highest = _shifted_exponentials(states[part], item_vectors, out=logits)
                sums = exponentials.sum(1, keepdim=True)
                loss += (sums.log() + highest).sum()
                # the softmax is exponentials / sums; dividing the narrow sides saves a pass over the wide one
                torch.mm(exponentials, item_vectors, out=state_gradient[part]).div_(sums)
                item_gradient.addmm_(exponentials.T, states[part] / sums)
            loss -= _subtract_targets(states, item_vectors, rows, label_smoothing, (state_gradient, item_gradient))
        ctx.save_for_backward(state_gradient, item_gradient)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator hides the names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, Tensor, None, None]:
        state_gradient, item_gradient = ctx.saved_tensors
        return state_gradient * gradients[0], item_gradient * gradients[0], None, None


def _chunk_size(item_vectors: Tensor) -> int:
    most = _LOGITS_PER_CHUNK if item_vectors.device.type == "cpu" else _LOGITS_PER_CHUNK_ON_DEVICE
    return max(most // len(item_vectors), 1)


def _shifted_exponentials(states: Tensor, item_vectors: Tensor, *, out: Tensor) -> tuple[Tensor, Tensor]:
    """exp(logits - highest logit of the row), in the first rows of `out`, and those highest ones (targets, 1)."""
    logits = torch.mm(states, item_vectors.T, out=out[: len(states)])
    highest = logits.amax(1, keepdim=True)
    return logits.sub_(highest).exp_(), highest


def _subtract_targets(
    states: Tensor, item_vectors: Tensor, rows: Tensor, label_smoothing: float, gradients: tuple[Tensor, Tensor]
) -> Tensor:
    """The wanted distribution's part: its mean logit, summed over the targets; its gradients go off in place."""
    state_gradient, item_gradient = gradients
    share, spread = 1 - label_smoothing, label_smoothing / len(item_vectors)
    wanted = item_vectors[rows] * share
    item_gradient.index_add_(0, rows, states, alpha=-share)
    if spread:
        wanted += item_vectors.sum(0) * spread
        item_gradient -= states.sum(0) * spread
    state_gradient -= wanted
    return (states * wanted).sum()
