"""How a table of codes is spread: uses of each code, evenness, items under each prefix."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray


def items_per_code(codes: Int[ndarray, "items levels"], level_sizes: Sequence[int]) -> list[Int[ndarray, " _codes"]]:
    """For each level: how many items have each of its codes, unused ones included as 0."""
    return [np.bincount(level_codes, minlength=size) for level_codes, size in zip(codes.T, level_sizes, strict=True)]


def items_per_prefix(codes: Int[ndarray, "items levels"]) -> list[Int[ndarray, " _prefixes"]]:
    """For each prefix length from 1: how many items are under each prefix that some item has, in prefix order."""
    ordered = codes[np.lexsort(codes.T[::-1])]
    differs = np.logical_or.accumulate(ordered[1:] != ordered[:-1], axis=1)  # once apart, apart in all longer prefixes
    ends = np.ones(1, dtype=bool)
    return [np.diff(np.flatnonzero(np.concatenate([ends, level, ends]))) for level in differs.T]


def sharing_items(prefix_counts: Int[ndarray, " prefixes"]) -> int:
    """Number of items that are not alone under their prefix."""
    return int(prefix_counts[prefix_counts > 1].sum())


def perplexity(counts: Int[ndarray, " codes"]) -> float:
    """exp(entropy) of the codes: how many equally used codes carry as much; between 1 and the number of codes."""
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def gini(counts: Int[ndarray, " codes"]) -> float:
    """Gini coefficient of the uses: 0 where all codes are used alike, 1 - 1/codes where one has everything.

    Half the mean absolute difference between two codes over the mean (Gini 1912), by the sorted form.
    """
    ranks = np.arange(1, len(counts) + 1)
    total = len(counts) * counts.sum()
    return float(2 * (ranks * np.sort(counts)).sum() / total - (len(counts) + 1) / len(counts))


def usage_divergence_bits(one: Int[ndarray, " codes"], other: Int[ndarray, " codes"]) -> float:
    """Jensen-Shannon divergence of two usage counts, in bits: 0 where their shares are alike, 1 where none is common.

    Lin 1991, "Divergence measures based on the Shannon entropy", with equal weights.
    """
    shares = np.stack([one / one.sum(), other / other.sum()])
    middle = np.broadcast_to(shares.mean(axis=0), shares.shape)
    used = shares > 0
    return max(0.0, float((shares[used] * np.log2(shares[used] / middle[used])).sum() / 2))
