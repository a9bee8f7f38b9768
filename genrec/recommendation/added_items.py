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
Draws are from the same distribution: each part draws with noise of its own, and the highest of both come first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genrec.recommendation.search import Beam, Found, RowFilters, Search
from genrec.recommendation.stock import in_stock
from trie import TorchTrie
from trie.noise import split


@dataclass(frozen=True, eq=False)
class AddedItems:
    """The trie of the added items, whose row 0 follows the last known one."""

    trie: TorchTrie
    boost: float = 1.0


@dataclass(frozen=True, eq=False)
class Part:
    """The known items, or the added ones, as a batch of histories sees them."""

    search: Search
    trie: TorchTrie
    first_row: int
    """Of the catalogue: where the trie's row 0 is."""
    log_share: Float32[Tensor, " histories"]
    """Natural log-probability of all its items together."""
    item_logits: Callable[[], Float32[Tensor, "histories items"]]
    """By the item head, of each item of the part; -inf out of stock. Costs a product with the whole catalogue."""

    @property
    def num_rows(self) -> int:
        """How many rows of the catalogue it takes up."""
        return self.trie.trie.num_row_slots

    @cached_property
    def item_log_probs(self) -> Float32[Tensor, "histories items"]:
        """By the item head, of each item among those of the part; -inf out of stock."""
        return _log_softmax(self.item_logits())

    def found(self, filters: RowFilters, beam: Beam) -> Found:
        """The best of its rows that pass; `filters` are on the rows of the catalogue."""
        leaves = self.search.leaves(self.trie, filters.within(self.first_row, self.num_rows), beam)
        return self._found(leaves.row, leaves.score, leaves.score, leaves.bound)

    def drawn(
        self, filters: RowFilters, *, seeds: Int64[Tensor, " histories"], num_samples: int, temperature: float
    ) -> Found:
        """Rows that pass, drawn by their probability; the noise of the known rows is not that of the added ones."""
        draws = self.search.draws(
            self.trie,
            filters.within(self.first_row, self.num_rows),
            seeds=split(seeds, self.first_row) if self.first_row else seeds,
            num_samples=num_samples,
            temperature=temperature,
        )
        return self._found(draws.row, draws.score, draws.perturbed, draws.bound)

    def _found(
        self,
        row: Int64[Tensor, "histories beams"],
        log_probs: Float32[Tensor, "histories beams"],
        key: Float32[Tensor, "histories beams"],
        bound: Float32[Tensor, " histories"],
    ) -> Found:
        """Rows of the trie as rows of the catalogue, with the part's share in all that is compared."""
        share = self.log_share[:, None]
        rows = torch.where(row < 0, -1, row + self.first_row)
        return Found(rows, log_probs + share, key + share, bound + self.log_share)


def parts_of(
    search: Search, trie: TorchTrie, added: AddedItems | None, *, temperature: float = 1.0
) -> tuple[Part, ...]:
    """The known items and, where there are any, the added ones.

    `temperature`: the log-odds of the added ones are divided by it, as the logits of a level are.
    """
    summary = search.read.start[:, 0]
    by_item_head = partial(_known_item_logits, search, trie)
    if added is None:
        return (Part(search, trie, 0, summary.new_zeros(len(summary), dtype=torch.float32), by_item_head),)
    content = search.model.content_logits(summary, search.history).float()
    num_known = trie.trie.num_row_slots
    of_known, of_added = _of_stock(content[:, :num_known], trie), _of_stock(content[:, num_known:], added.trie)
    log_odds = (of_added.logsumexp(1) + math.log(added.boost) - of_known.logsumexp(1)) / temperature
    softplus = torch.nn.functional.softplus
    return (
        Part(search, trie, 0, -softplus(log_odds), by_item_head),
        Part(replace(search, score="catalog"), added.trie, num_known, -softplus(-log_odds), lambda: of_added),
    )


def merged(first: Found, second: Found) -> Found:
    """Both lists as one, highest keys first; what is missing is no better than what may be missing in either."""
    joined = [torch.cat([one, other], dim=1) for one, other in zip(first[:3], second[:3], strict=True)]
    order = joined[2].argsort(dim=1, descending=True, stable=True)
    rows, codes, keys = (part.gather(1, order) for part in joined)
    return Found(rows, codes, keys, torch.maximum(first.bound, second.bound))


def item_log_probs(
    parts: tuple[Part, ...], rows: Int64[Tensor, "histories beams"]
) -> Float32[Tensor, "histories beams"]:
    """What the item head says of each history's own rows of the catalogue; -inf for -1."""
    found = torch.full(rows.shape, -torch.inf, device=rows.device)
    for part in parts:
        own = rows - part.first_row
        is_own = (own >= 0) & (own < part.num_rows)
        by_item_head = part.item_log_probs.gather(1, own.clamp(0, part.num_rows - 1)) + part.log_share[:, None]
        found = torch.where(is_own, by_item_head, found)
    return found


def _known_item_logits(search: Search, trie: TorchTrie) -> Float32[Tensor, "histories items"]:
    return _of_stock(search.model.item_logits(search.read.start[:, 0], search.history).float(), trie)


def _of_stock(logits: Float32[Tensor, "histories items"], trie: TorchTrie) -> Float32[Tensor, "histories items"]:
    """The logits of a trie's rows, -inf for those that were taken out."""
    if trie.stock is None:
        return logits
    return logits.masked_fill(~torch.from_numpy(in_stock(trie)).to(logits.device), -torch.inf)


def _log_softmax(logits: Float32[Tensor, "histories items"]) -> Float32[Tensor, "histories items"]:
    """The same, but -inf where nothing is left, not nan."""
    total = logits.logsumexp(1, keepdim=True)
    return logits - torch.where(total == -torch.inf, 0.0, total)
