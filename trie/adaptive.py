"""Adaptive width: narrow where the model is certain, wide where it is not.

The beams of a user are kept until they hold a given share of all probability, as in nucleus sampling (Holtzman et al.
2020, 1904.09751) and in the spirit of "Cautious next token prediction" (Wang et al. 2025, 2507.03038), which spends
more where the entropy is high. What is dropped raises the bound, so certificates stay right.
"""

import torch

from trie.listing import is_eager
from trie.step import Beams
from trie.torch_trie import TorchTrie


def narrowed(trie: TorchTrie, beams: Beams, *, mass: float, at_least: int = 1) -> Beams:
    """The best beams of each user that together hold the probability `mass`, but `at_least` so many; the others die.

    `mass` lies above 0 and up to 1, where 1 keeps all. On the CPU columns in which every beam is dead are left out:
    a batch is as wide as its least certain user.
    """
    if not 0 < mass <= 1:
        raise ValueError(f"mass must lie above 0 and up to 1, got {mass}")
    if at_least < 1:
        raise ValueError(f"at_least must be at least 1, got {at_least}")
    if mass == 1:
        return beams
    probability = beams.score.exp()
    kept = (probability.cumsum(1) - probability) < mass
    kept[:, :at_least] = True
    dropped = beams.score.masked_fill(kept, -torch.inf).amax(1)
    score, bound = beams.score.masked_fill(~kept, -torch.inf), torch.maximum(beams.bound, dropped)
    narrow = beams._replace(score=score, bound=bound)
    if not is_eager(trie):
        return narrow
    width = max(1, int((score > -torch.inf).sum(1).max())) if len(score) else 1
    return Beams(
        narrow.node[:, :width], score[:, :width], narrow.parent[:, :width], narrow.code[:, :width], narrow.bound
    )
