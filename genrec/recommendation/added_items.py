"""Items that came after the training among the others: what their probability is, which the generator never learned.

Trained on sequences without them, it holds their codes to be next to impossible: left to that, they would never be
recommended. But their codes say what they are like. So the probability of an item `i` after a history `h` becomes

    P(i | h) = P(added | h) * P(i | added, h)        for an added item
    P(i | h) = P(known | h) * P(i | known, h)        for a known one

`P(added | h)`: the share of the added items in the softmax over all items by what their codes alone say of them (the
item head, with the mean of the learned item vectors in the place of each item's own): items are compared as if all
were new. `P(i | known, h)`: as before there were added items, so that the known ones keep their order and distances.
`P(i | added, h)`: by the codes, the probability of the semantic ID among the added items, code by code (the "catalog"
score of their trie, whatever the known ones have), so that it depends on no beam; by the item head, the softmax over
the added items. A `boost` multiplies the odds of an added item. Items that were taken out have no share in anything.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from genrec.recommendation.search import Found, RowFilters, Search
from genrec.recommendation.stock import in_stock
from trie import TorchTrie


@dataclass(frozen=True, eq=False)
class AddedItems:
    """The trie of the added items, whose row 0 follows the last known one."""

    trie: TorchTrie
    boost: float = 1.0


class Part(NamedTuple):
    """The known items, or the added ones, as a batch of histories sees them."""

    search: Search
    trie: TorchTrie
    first_row: int
    """Of the catalogue: where the trie's row 0 is."""
    log_share: Float32[Tensor, " histories"]
    """Natural log-probability of all its items together."""
    item_log_probs: Float32[Tensor, "histories items"]
    """By the item head, of each item among those of the part; -inf out of stock."""

    @property
    def num_rows(self) -> int:
        """How many rows of the catalogue it takes up."""
        return self.trie.trie.num_row_slots

    def found(self, filters: RowFilters) -> Found:
        """The best of its rows that pass; `filters` are on the rows of the catalogue."""
        leaves = self.search.leaves(self.trie, filters.within(self.first_row, self.num_rows))
        missing = leaves.row < 0
        items = self.item_log_probs.gather(1, leaves.row.clamp(min=0)).masked_fill(missing, -torch.inf)
        rows = (leaves.row + self.first_row).masked_fill(missing, -1)
        share = self.log_share[:, None]
        return Found(rows, leaves.score + share, items + share, leaves.bound + self.log_share)


def parts_of(search: Search, trie: TorchTrie, added: AddedItems | None) -> tuple[Part, ...]:
    """The known items and, where there are any, the added ones."""
    generator, summary = search.model.generator, search.read.start[:, 0]
    logits = generator.item_logits(summary).float()
    by_item_head = _log_softmax(_of_stock(logits, trie))
    if added is None:
        return (Part(search, trie, 0, torch.zeros_like(by_item_head[:, 0]), by_item_head),)
    content = generator.content_logits(summary).float()
    num_known = trie.trie.num_row_slots
    of_known, of_added = _of_stock(content[:, :num_known], trie), _of_stock(content[:, num_known:], added.trie)
    log_odds = of_added.logsumexp(1) + math.log(added.boost) - of_known.logsumexp(1)
    softplus = torch.nn.functional.softplus
    return (
        Part(search, trie, 0, -softplus(log_odds), by_item_head),
        Part(replace(search, score="catalog"), added.trie, num_known, -softplus(-log_odds), _log_softmax(of_added)),
    )


def merged(first: Found, second: Found) -> Found:
    """Both lists as one, best codes first; what is missing is no better than what may be missing in either."""
    joined = [torch.cat([one, other], dim=1) for one, other in zip(first[:3], second[:3], strict=True)]
    order = joined[1].argsort(dim=1, descending=True, stable=True)
    rows, codes, items = (part.gather(1, order) for part in joined)
    return Found(rows, codes, items, torch.maximum(first.bound, second.bound))


def _of_stock(logits: Float32[Tensor, "histories items"], trie: TorchTrie) -> Float32[Tensor, "histories items"]:
    """The logits of a trie's rows, -inf for those that were taken out."""
    if trie.stock is None:
        return logits
    return logits.masked_fill(~torch.from_numpy(in_stock(trie)).to(logits.device), -torch.inf)


def _log_softmax(logits: Float32[Tensor, "histories items"]) -> Float32[Tensor, "histories items"]:
    """The same, but -inf where nothing is left, not nan."""
    total = logits.logsumexp(1, keepdim=True)
    return logits - torch.where(total == -torch.inf, 0.0, total)
