"""What an item of the history gains or loses as the next one: people come back to their bread, not to a book."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# Log-odds of repeats are a hundred times as large as a transformer's weights, and learn by the same rate.
_SCALE = 30.0


class RepeatBias(nn.Module):
    """Learned log-odds of the items that were read already, by how many steps ago (cf. RepeatNet, 1812.02646).

    Where nobody takes an item twice it falls until the history is as good as filtered out; where people do, it says how
    soon they come back. An item that was read several times has the sum.
    """

    def __init__(self, max_items: int) -> None:
        super().__init__()
        self.every_age = nn.Parameter(torch.zeros(1))
        self.by_age = nn.Parameter(torch.zeros(max_items))

    def forward(
        self,
        logits: Float[Tensor, "targets items"],
        history: Int[Tensor, "targets read"],
        newest: Int[Tensor, " targets"],
    ) -> Float[Tensor, "targets items"]:
        """The logits, changed in place, after `history` (rows, oldest first) up to the place `newest` of each.

        Rows that the logits do not have, such as padding (-1), are left out.
        """
        places = torch.arange(history.shape[1], device=history.device)
        ages = places[:, None] - places
        by_place = self.every_age + self.by_age[ages.clamp(min=0)]
        known = (places <= newest[:, None]) & (history >= 0) & (history < logits.shape[1])
        bias = (_SCALE * by_place[newest]).where(known, 0.0).to(logits.dtype)
        return logits.scatter_add_(1, history.where(known, 0), bias)
