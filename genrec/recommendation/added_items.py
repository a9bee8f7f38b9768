"""Items that came after the training among the others: what their probability is, which the generator never learned.

Trained on sequences without them, it holds their codes to be next to impossible: left to that, they would never be
recommended. But their codes say what they are like. So the probability of an item `i` after a history `h` becomes

    P(i | h) = P(added | h) * P(i | added, h)        for an added item
    P(i | h) = P(known | h) * P(i | known, h)        for a known one

`P(added | h)`: the share of the added items in the softmax over all items by what their codes alone say of them (the
item head, with the mean of the learned item vectors in the place of each item's own): items are compared as if all
were new. `P(i | known, h)`: as before there were added items, so that the known ones keep their order and distances.
`P(i | added, h)`: by the codes, the probability of the semantic ID over that of all added items that the beam finds;
by the item head, the softmax over the added items. A `boost` multiplies the odds of an added item.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genrec.recommendation.search import Found, RowFilters, Search
from trie import TorchTrie
from trie.step import certified


@dataclass(frozen=True, eq=False)
class AddedItems:
    """The trie of the added items, whose row 0 follows the last known one."""

    trie: TorchTrie
    boost: float = 1.0


def with_added_items(known: Found, search: Search, added: AddedItems, *, filters: RowFilters, first_row: int) -> Found:
    """The known candidates and as many added ones. `filters` are on the added items' own rows."""
    content = search.generator.content_logits(search.read.start[:, 0]).float()
    among_known = content[:, :first_row].logsumexp(1)
    among_added = content[:, first_row:].logsumexp(1)
    log_odds = among_added + math.log(added.boost) - among_known
    share_known, share_added = -torch.nn.functional.softplus(log_odds), -torch.nn.functional.softplus(-log_odds)

    leaves = search.leaves(added.trie, filters)
    unfiltered = leaves
    if filters.denied is not None or filters.allowed is not None:
        # what one request leaves out must not make the rest of the added items likelier than the known ones
        unfiltered = search.leaves(added.trie, RowFilters())
    codes = leaves.score - unfiltered.score.logsumexp(1, keepdim=True)
    rows = torch.where(leaves.row >= 0, leaves.row + first_row, -1)
    items = content.gather(1, rows.clamp(min=0)) - among_added[:, None]
    items = items.masked_fill(rows < 0, -torch.inf)
    later = Found(rows, codes.clamp(max=0), items, certified(leaves))
    return merged(_scaled(known, share_known), _scaled(later, share_added))


def merged(first: Found, second: Found) -> Found:
    """Both lists as one, best codes first; certified as far as each candidate is certified in its own list."""
    joined = [torch.cat([one, other], dim=1) for one, other in zip(first[:3], second[:3], strict=True)]
    proven = torch.cat([_proven(first), _proven(second)], dim=1)
    order = joined[1].argsort(dim=1, descending=True, stable=True)
    rows, codes, items = (part.gather(1, order) for part in joined)
    return Found(rows, codes, items, proven.gather(1, order).long().cumprod(1).sum(1))


def _scaled(found: Found, log_share: Float32[Tensor, " histories"]) -> Found:
    share = log_share[:, None]
    return found._replace(code_log_probs=found.code_log_probs + share, item_log_probs=found.item_log_probs + share)


def _proven(found: Found) -> Int64[Tensor, "histories beams"]:
    places = torch.arange(found.rows.shape[1], device=found.rows.device)
    return (places < found.certified[:, None]).long()
