"""A constrained beam step against an unconstrained top-k on the same logits, level by level."""

import statistics
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from benchmarks.timing import seconds_of
from trie import TorchTrie
from trie.step import Beams, start, step


def measure_steps(trie: TorchTrie, *, batch_size: int, beam_size: int, runs: int) -> dict[str, Any]:
    """Median milliseconds of each level's step (`step_ms`) and of the top-k alone (`top_k_ms`), taken in turns."""
    random = torch.Generator().manual_seed(1)
    beams = start(trie, batch_size)
    figures: dict[str, list[float]] = {"step_ms": [], "top_k_ms": []}
    for level, size in enumerate(trie.trie.level_sizes):
        logits = torch.randn(*beams.node.shape, size, generator=random)
        pairs = [_timed_pair(trie, level, beams, logits, beam_size) for _ in range(runs)]
        for name, seconds in zip(figures, zip(*pairs, strict=True), strict=True):
            figures[name].append(1e3 * statistics.median(seconds))
        beams = step(trie, level, beams, logits, beam_size=beam_size)
    return {"batch_size": batch_size, "beam_size": beam_size, **figures}


def unconstrained(beams: Beams, logits: Float32[Tensor, "batch beams codes"], beam_size: int) -> Tensor:
    """The scores of the best codes of all beams, whatever the catalogue holds."""
    total = (beams.score[..., None] + logits.log_softmax(-1)).flatten(1)
    return total.topk(min(beam_size, total.shape[1]), dim=1).values


def _timed_pair(trie: TorchTrie, level: int, beams: Beams, logits: Tensor, beam_size: int) -> tuple[float, float]:
    constrained = seconds_of(lambda: step(trie, level, beams, logits, beam_size=beam_size))
    return constrained, seconds_of(lambda: unconstrained(beams, logits, beam_size))
