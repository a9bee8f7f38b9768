"""Sampling rows without replacement: stochastic beam search (Kool, van Hoof & Welling 2019, 1903.06059) on a trie.

Every row's log-probability is perturbed by Gumbel noise of its own; the rows with the highest perturbed ones are a
sample without replacement, in the order of the draws. A prefix carries the highest of all rows below it, drawn from
the top down (their section 4.1), so a beam as wide as the sample finds it exactly. The distribution is the catalogue's:
probabilities are normalised over what the catalogue holds. Filters leave rows out as if they had been drawn and put
aside; a prefix whose highest row is put aside still takes a place in the beam, so then `certified` says how much of
the list is the exact sample.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from trie.choose import Choice, choose
from trie.filters import Filter
from trie.listing import Listing, alive, alive_slots, child_ranges, is_eager, list_children
from trie.noise import gumbel
from trie.scores import normalised
from trie.torch_trie import TorchTrie


class SampledBeams(NamedTuple):
    """Partial IDs in the order of their best rows' draws. Node, parent and code of a dead beam mean nothing."""

    node: Int64[Tensor, "batch beams"]
    score: Float32[Tensor, "batch beams"]
    """Natural log-probability of the codes so far; -inf: a dead beam."""
    perturbed: Float64[Tensor, "batch beams"]
    """The highest perturbed log-probability of the rows below."""
    parent: Int64[Tensor, "batch beams"]
    code: Int64[Tensor, "batch beams"]
    bound: Float32[Tensor, " batch"]
    """The highest perturbed log-probability of any prefix that was pruned."""


class SampledRows(NamedTuple):
    """Rows in the order in which they are drawn."""

    row: Int64[Tensor, "batch samples"]
    """-1 where there was no further allowed row."""
    score: Float32[Tensor, "batch samples"]
    """Natural log-probability."""
    perturbed: Float32[Tensor, "batch samples"]
    """Descending; -inf where there is no row."""
    bound: Float32[Tensor, " batch"]


def start_sampling(trie: TorchTrie, seeds: Int64[Tensor, " batch"]) -> SampledBeams:
    """One beam per user: the root. Users with different seeds draw independently."""
    zeros = torch.zeros(len(seeds), 1, dtype=torch.int64, device=trie.device)
    bound = torch.full((len(seeds),), -torch.inf, device=trie.device)
    return SampledBeams(zeros, zeros.float(), gumbel(seeds, 0, zeros), zeros, zeros, bound)


def sampling_step(
    trie: TorchTrie,
    level: int,
    beams: SampledBeams,
    logits: Float[Tensor, "batch beams level_size"],
    *,
    seeds: Int64[Tensor, " batch"],
    num_samples: int,
    filters: Filter | None = None,
) -> SampledBeams:
    """The `num_samples` children with the highest perturbed log-probabilities; `filters` as in `trie.step`."""
    filters = trie.stock if filters is None else filters
    ranges = child_ranges(trie, level, beams.node, beams.score)
    logits, normaliser = normalised(trie, level, beams.node, beams.code, logits=logits, ranges=ranges, score="catalog")
    listing = list_children(trie, level, ranges)
    code = trie.codes(level, listing.child)
    by_code = logits.flatten(1).gather(1, listing.beam * logits.shape[2] + code)
    score = (beams.score - normaliser).gather(1, listing.beam) + by_code
    score = _in_stock(trie, level + 1, listing, score)
    perturbed = _perturbed(listing, score, beams.perturbed, gumbel(seeds, level + 1, listing.child))
    choice = _first(trie, level + 1, perturbed, listing, filters, beams.bound, num_samples)
    slot = choice.slot
    return SampledBeams(
        listing.child.gather(1, slot),
        torch.where(choice.score > -torch.inf, score.gather(1, slot), -torch.inf),
        perturbed.gather(1, slot),
        listing.beam.gather(1, slot),
        code.gather(1, slot),
        choice.bound,
    )


def sampled_rows(
    trie: TorchTrie,
    beams: SampledBeams,
    *,
    seeds: Int64[Tensor, " batch"],
    num_samples: int,
    filters: Filter | None = None,
) -> SampledRows:
    """The rows of beams that have taken every level; rows of one leaf share its probability evenly."""
    filters = trie.stock if filters is None else filters
    depth = trie.trie.length
    ranges = child_ranges(trie, depth, beams.node, beams.score)
    listing = list_children(trie, depth, ranges)
    sharers = ranges.num_children
    if trie.stock is not None:
        sharers = trie.stock.count(ranges.begin, ranges.begin + sharers)
    score = (beams.score - sharers.clamp(min=1).float().log()).gather(1, listing.beam)
    score = _in_stock(trie, depth + 1, listing, score)
    perturbed = _perturbed(listing, score, beams.perturbed, gumbel(seeds, depth + 1, listing.child))
    choice = _first(trie, depth + 1, perturbed, listing, filters, beams.bound, num_samples)
    drawn = choice.score > -torch.inf
    row = torch.where(drawn, trie.order[listing.child.gather(1, choice.slot)].long(), -1)
    return SampledRows(row, torch.where(drawn, score.gather(1, choice.slot), -torch.inf), choice.score, choice.bound)


def certified_draws(rows: SampledRows) -> Int64[Tensor, " batch"]:
    """How many rows at the head of each list are proven to be the sample's first, in its order.

    All of them where no filter is set and the beam was as wide as the list.
    """
    return ((rows.perturbed >= rows.bound[:, None]) & (rows.row >= 0)).sum(1)


def _in_stock(
    trie: TorchTrie, depth: int, listing: Listing, score: Float32[Tensor, "batch slots"]
) -> Float32[Tensor, "batch slots"]:
    """The scores of the slots that the catalogue has, -inf elsewhere."""
    listed = listing.used
    if trie.stock is not None:
        listed = listed & alive(trie, depth, listing.child, trie.stock)
    return torch.where(listed, score, -torch.inf)


def _perturbed(
    listing: Listing,
    score: Float32[Tensor, "batch slots"],
    of_parents: Float64[Tensor, "batch beams"],
    noise: Float64[Tensor, "batch slots"],
) -> Float64[Tensor, "batch slots"]:
    """Perturbed log-probabilities whose highest in each beam is the beam's own (1903.06059, appendix B.3)."""
    free = score.double() + noise
    highest = torch.full_like(of_parents, -torch.inf).scatter_reduce(1, listing.beam, free, "amax")
    below = (free - highest.gather(1, listing.beam)).clamp(max=0.0)
    parent = of_parents.gather(1, listing.beam)
    gap = parent - free + torch.log1p(-below.exp())
    found = parent - gap.clamp(min=0.0) - torch.log1p((-gap.abs()).exp())
    return torch.where(score > -torch.inf, found, -torch.inf)


def _first(
    trie: TorchTrie,
    depth: int,
    perturbed: Float64[Tensor, "batch slots"],
    listing: Listing,
    filters: Filter | None,
    bound: Float32[Tensor, " batch"],
    num_samples: int,
) -> Choice:
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    passes = alive_slots(trie, depth, listing, filters)
    return choose(perturbed.float(), passes, bound, most=num_samples, is_eager=is_eager(trie))
