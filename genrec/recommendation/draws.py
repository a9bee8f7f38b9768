"""Samples: items drawn one after the other by their probability, each at most once.

The draws are from one distribution over known and added items, the "catalog" scores with the added items' share
(genrec.recommendation.added_items). A row that a filter leaves out is passed over, as if it had been drawn and put
aside: so the draws are from what the others have left of the distribution, each in proportion. A beam that spends its
places on such rows may lose a row that is due (`trie.sampling`); lists for which that is not excluded are searched
again, wider. The noise belongs to the rows and not to the search, so no draw depends on the width.
"""

from collections.abc import Sequence
from functools import reduce
from operator import index
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from genrec.recommendation.added_items import AddedItems, merged, parts_of
from genrec.recommendation.candidates import Ranked, widened
from genrec.recommendation.search import RowFilters, Search
from trie import TorchTrie
from trie.noise import split

TEMPERATURES = (1e-3, 1e3)
"""Below, a sample is the top of the list but for rounding; above, every code is as likely as every other."""


class Noise(NamedTuple):
    """What the draws depend on beside the histories."""

    seeds: Sequence[SupportsIndex]
    """One for each history, of 64 bits."""
    temperature: float = 1.0


def draw_items(
    search: Search,
    trie: TorchTrie,
    noise: Noise,
    *,
    num_samples: int,
    filters: RowFilters | None = None,
    added: AddedItems | None = None,
) -> Ranked:
    """`num_samples` items for every history in the order of the draws; with `added` ones twice as many."""
    how = {"seeds": checked(noise.seeds).to(trie.device), "temperature": noise.temperature}
    with torch.inference_mode():
        parts = parts_of(search, trie, added, temperature=noise.temperature)
        found = reduce(merged, (part.drawn(filters or RowFilters(), num_samples=num_samples, **how) for part in parts))
    width = num_samples * len(parts)
    rows, scores = (widened(part.cpu().numpy(), width) for part in (found.rows, found.code_log_probs))
    return Ranked(rows, scores, found.certified.cpu().numpy())


def seeds_for(seed: SupportsIndex | Sequence[SupportsIndex], num_histories: int) -> list[int]:
    """The seed of each history: as given, or from one for all.

    Raises:
        ValueError: seeds that are no integers of 64 bits, or not one for each history.
    """
    if isinstance(seed, SupportsIndex):
        return seeds_from(seed, range(num_histories))
    if len(seed) != num_histories:
        raise ValueError(f"expected one seed, or one for each of the {num_histories} histories; got {len(seed)}")
    return checked(seed).tolist()


def seeds_from(seed: SupportsIndex, places: Sequence[int]) -> list[int]:
    """Seeds that follow from one and a place each, and draw independently."""
    return split(checked([seed]).expand(len(places)), torch.tensor(places, dtype=torch.int64)).tolist()


def check_temperature(temperature: float) -> None:
    """ValueError where it is out of range."""
    low, high = TEMPERATURES
    if not low <= temperature <= high:
        raise ValueError(f"temperature must lie in {low:g}..{high:g}, got {temperature}; recommend draws nothing")


def checked(seeds: Sequence[SupportsIndex]) -> Int64[Tensor, " seeds"]:
    """The seeds as a tensor; ValueError unless they are integers of 64 bits."""
    try:
        return torch.from_numpy(np.array([index(seed) for seed in seeds], dtype=np.int64))
    except (OverflowError, TypeError) as error:
        raise ValueError(f"seeds must be integers of 64 bits, got {', '.join(map(repr, seeds[:5]))}") from error
