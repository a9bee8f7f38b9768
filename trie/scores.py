"""What the codes of a level cost after each beam: the model's logits and what normalises them."""

from typing import Literal

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from trie.listing import Ranges, alive, list_children
from trie.torch_trie import TorchTrie

Score = Literal["joint", "catalog"]


def normalised(
    trie: TorchTrie,
    level: int,
    node: Int64[Tensor, "batch beams"],
    code: Int64[Tensor, "batch beams"],
    *,
    logits: Float[Tensor, "batch beams level_size"],
    ranges: Ranges,
    score: Score | Literal["given"],
) -> tuple[Float32[Tensor, "batch beams level_size"], Float32[Tensor, "batch beams"]]:
    """Logits in float32 and the normaliser of each beam: their difference is the codes' natural log-probability.

    "joint" normalises over every code, "catalog" over the children that the catalogue has, and "given" not at all. An
    ID that has ended (see `PrefixTrie.from_sequences`) costs nothing more. `code`: the one that led to each node.
    """
    logits = logits.float()
    if score == "given":
        normaliser = torch.zeros_like(logits[..., 0])
    else:
        normaliser = logits.logsumexp(-1) if score == "joint" else catalogue_sum(trie, level, node, logits, ranges)
    # a beam whose logits are all -inf has no child; without the guard it would be nan
    normaliser = normaliser.clamp(min=torch.finfo(torch.float32).min)
    if level > 1 and trie.trie.has_stop:  # the first level has no stop code
        ended = code == trie.trie.level_sizes[level - 1] - 1
        logits, normaliser = logits.masked_fill(ended[..., None], 0.0), normaliser.masked_fill(ended, 0.0)
    return logits, normaliser


def catalogue_sum(
    trie: TorchTrie,
    level: int,
    node: Int64[Tensor, "batch beams"],
    logits: Float32[Tensor, "batch beams level_size"],
    ranges: Ranges,
) -> Float32[Tensor, "batch beams"]:
    """The logsumexp over the children that the catalogue has."""
    table = trie.table[level]
    if table is not None:
        child = table[node]
        listed = child >= 0
        if trie.stock is not None:
            listed = listed & alive(trie, level + 1, child.clamp(min=0).long(), trie.stock)
        return logits.masked_fill(~listed, -torch.inf).logsumexp(-1)
    listing = list_children(trie, level, ranges)
    listed = listing.used
    if trie.stock is not None:
        listed = listed & alive(trie, level + 1, listing.child, trie.stock)
    by_code = logits.flatten(1).gather(1, listing.beam * logits.shape[2] + trie.codes(level, listing.child))
    by_code = torch.where(listed, by_code, -torch.inf)
    none = torch.full_like(ranges.begin, -torch.inf, dtype=by_code.dtype)
    peak = none.scatter_reduce(1, listing.beam, by_code, "amax")
    peak = torch.where(peak == -torch.inf, 0.0, peak)
    total = torch.zeros_like(peak).scatter_add(1, listing.beam, (by_code - peak.gather(1, listing.beam)).exp())
    return total.log() + peak
