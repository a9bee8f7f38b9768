"""What an item of the history gains or loses as the next one: people come back to their bread, not to a book."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from genrec.generator.item_softmax import Shifts

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
        self, history: Int[Tensor, "targets read"], newest: Int[Tensor, " targets"], *, num_items: int
    ) -> Shifts:
        """What the logits of the first `num_items` rows gain, after `history` up to the place `newest` of each.

        `history`: rows, oldest first; padding (-1) and later rows gain nothing.
        """
        places = torch.arange(history.shape[1], device=history.device)
        ages = places[:, None] - places
        by_place = self.every_age + self.by_age[ages.clamp(min=0)]
        known = (places <= newest[:, None]) & (history >= 0) & (history < num_items)
        return Shifts(history.where(known, 0), (_SCALE * by_place[newest]).where(known, 0.0))

    def added_to(
        self, logits: Float[Tensor, "histories items"], history: Int[Tensor, "histories read"]
    ) -> Float[Tensor, "histories items"]:
        """The logits after the newest item of each history, changed in place."""
        columns, values = self(history, (history >= 0).sum(1) - 1, num_items=logits.shape[1])
        return logits.scatter_add_(1, columns, values.to(logits.dtype))
