"""Lists with at most so many items that share their first codes.

The best list under such a cap is the one that takes the items from the best on and passes over those whose prefix is
full. So the candidates are ranked first and the cap is held last, over known and added items together. The beam has a
wider cap of its own, which leaves the items that the list needs: enough prefixes, and more of each than it may hold,
so that the ranking can choose.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from genrec.generator.beam_search import PrefixCap
from genrec.generator.vocabulary import Vocabulary
from trie.diversity import capped


class Groups(NamedTuple):
    """Which candidates share their first codes, and how many of these a list may hold."""

    most: int
    number: Int64[ndarray, "histories beams"]
    """Equal where the first codes are. Means nothing where there is no item."""


def cap_of_beam(cap: PrefixCap, *, beam_size: int, k: int) -> PrefixCap:
    """The widest cap under which a beam still fills a list of `k`, if there are as many items that may stand in it.

    A full beam holds `beam_size / most_of_beam` prefixes or more, of each of which the list takes `most`.
    """
    return cap._replace(most=max(cap.most, beam_size * cap.most // k))


def groups_of(vocabulary: Vocabulary, rows: Int64[ndarray, "histories beams"], cap: PrefixCap) -> Groups:
    """The groups of each history's own rows of the catalogue."""
    codes = vocabulary.codes_of(torch.from_numpy(rows).to(vocabulary.item_codes.device)).cpu().numpy()
    number = np.zeros(rows.size, dtype=np.int64)
    for level in range(cap.depth):
        # numbered anew on every level, so that they never outgrow 64 bits
        prefix = number * vocabulary.level_sizes[level] + codes[..., level].ravel()
        number = np.unique(prefix, return_inverse=True)[1]
    return Groups(cap.most, number.reshape(rows.shape))


def within_cap(scores: Float32[ndarray, "histories beams"], groups: Groups) -> Bool[ndarray, "histories beams"]:
    """Which candidates stay: those among the `most` best of their group; none whose score is -inf."""
    left, _ = capped(torch.from_numpy(scores), torch.from_numpy(groups.number), most=groups.most)
    return torch.isfinite(left).numpy()
