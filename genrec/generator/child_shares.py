"""A distribution over items as one over codes: what every child of a target's prefixes holds of it.

The item head says how likely each item is; added up below the nodes of the trie that is, level by level, the exact
distribution of the next code after the target's true codes. Code losses may aim at it instead of at the true code
alone: the generator distils itself, from the reading that learns quicker into the one that searches.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genrec.generator.prefixes import Prefixes


def child_shares(
    shares: Float[Tensor, "targets items"],
    rows: Int[Tensor, " targets"],
    item_codes: Int[Tensor, "items id_length"],
    prefixes: Prefixes,
) -> tuple[Float[Tensor, "targets _"], ...]:
    """Per level l, the share of each code among the items that begin with the first l codes of item `rows`; sums 1.

    `shares` are at least 0 and need not sum to 1. Where all items of a prefix have none, its own next code has it all.
    """
    first_codes = item_codes[:, 0].long()  # by 32-bit indices the sums take several times as long
    levels = [shares.new_zeros(len(rows), prefixes.level_sizes[0]).index_add_(1, first_codes, shares)]
    for level in range(1, len(prefixes.level_sizes)):
        columns, inside = prefixes.rows_below(level, rows)
        below = shares.gather(1, columns).where(inside, 0.0)
        zeros = shares.new_zeros(len(rows), prefixes.level_sizes[level])
        levels.append(zeros.scatter_add_(1, item_codes[:, level][columns].long(), below))
    return tuple(_of_one(level, item_codes[rows, number]) for number, level in enumerate(levels))


def child_shares_of_sample(
    shares: Float[Tensor, "targets sampled"],
    rows: Int[Tensor, " targets"],
    sampled: Int[Tensor, " sampled"],
    item_codes: Int[Tensor, "items id_length"],
    prefixes: Prefixes,
) -> tuple[Float[Tensor, "targets _"], ...]:
    """`child_shares` where only the `sampled` rows have a share."""
    own, others, levels = prefixes.of(rows), prefixes.of(sampled), []
    for level, size in enumerate(prefixes.level_sizes):
        below = shares if level == 0 else shares.where(own[:, level - 1, None] == others[:, level - 1], 0.0)
        codes = item_codes[sampled, level].long()
        levels.append(shares.new_zeros(len(rows), size).index_add_(1, codes, below))
    return tuple(_of_one(level, item_codes[rows, number]) for number, level in enumerate(levels))


def _of_one(shares: Float[Tensor, "targets codes"], code: Int[Tensor, " targets"]) -> Float[Tensor, "targets codes"]:
    smallest = torch.full_like(shares[:, :1], torch.finfo(shares.dtype).tiny)
    shares = shares.scatter_add(1, code[:, None].long(), smallest)
    return shares / shares.sum(1, keepdim=True)
