"""Beam search over semantic IDs inside a trie: every list it returns is made of catalogue items.

A model is known by two methods only, so that a T5 or a model of one's own decodes under the same trie.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trie import Filter, Leaves, TorchTrie
from trie.adaptive import narrowed
from trie.diversity import Cap
from trie.filters import with_stock
from trie.sampling import SampledRows, sampled_rows, sampling_step, start_sampling
from trie.scores import Score
from trie.step import Beams, items, start, step


class PrefixCap(NamedTuple):
    """Diversity: at most `most` items whose first `depth` codes are the same."""

    depth: int
    most: int

    def check(self, id_length: int) -> None:
        """ValueError where no prefix is so long, or nothing would be allowed."""
        if not 1 <= self.depth <= id_length or self.most < 1:
            raise ValueError(f"expected a depth in 1..{id_length} and most of at least 1, got {self}")

    def after(self, level: int, beams: Beams, capped: Cap | None) -> Cap | None:
        """The beams' groups after a step, None before the prefix is whole."""
        if capped is not None:
            return Cap(self.most, capped.group.gather(1, beams.parent))
        return Cap(self.most, beams.node) if level + 1 == self.depth else None


@runtime_checkable
class CodeModel(Protocol):
    """What the search needs: read a history once, then say what comes next for every beam."""

    def read_history(self, history: Int[Tensor, "batch items"]) -> Any:
        """Whatever the model wants to remember of the histories, one entry per user."""
        ...

    def next_code_logits(
        self,
        read: Any,
        written: Any,
        *,
        codes: Int[Tensor, "batch beams"] | None = None,
        parents: Int[Tensor, "batch beams"] | None = None,
    ) -> tuple[Float[Tensor, "batch beams level_size"], Any]:
        """Logits of the next level and the cache for the call after.

        The first call gets `written=None` and neither codes nor parents; it answers for one beam per user.
        """
        ...


@torch.inference_mode()
def beam_search(
    model: CodeModel,
    trie: TorchTrie,
    read: Any,
    *,
    batch_size: int,
    beam_size: int,
    filters: Filter | None = None,
    score: Score = "joint",
    cap: PrefixCap | None = None,
    mass: float = 1.0,
    at_least: int = 1,
    num_leaves: int | None = None,
    observe: Callable[[int, Beams], object] | None = None,
) -> Leaves:
    """The best items of every user by the log-probability of their codes, best first, of those that the beam finds.

    As many as the beam is wide, or `num_leaves`: the model is never asked what comes after a last code, so a last step
    that keeps more than `beam_size` costs it nothing.

    `read` is what `model.read_history` returned for `batch_size` histories. With `filters`
    a prefix is kept only while an allowed item lies below it, so no beam ends in nothing (trie.filters). `score`:
    see `trie.step`. Users with fewer allowed items get -1 at the end of their rows.

    `cap`: at most so many items that share a prefix. `mass`: the width adapts, but to no fewer beams than `at_least`,
    see `trie.adaptive`; 1 for all beams. `observe`: is shown every level and the beams that its step has left.
    """
    if cap is not None:
        cap.check(trie.trie.length)
    filters = with_stock(trie.stock, filters)
    beams = start(trie, batch_size)
    logits, written = model.next_code_logits(read, None)
    num_leaves, capped = num_leaves or beam_size, None
    for level in range(trie.trie.length):
        if level:
            beams = narrowed(trie, beams, mass=mass, at_least=at_least)
            logits, written = model.next_code_logits(read, written, codes=beams.code, parents=beams.parent)
        width = beam_size if level + 1 < trie.trie.length else num_leaves
        beams = step(trie, level, beams, logits, beam_size=width, filters=filters, score=score, cap=capped)
        if observe is not None:
            observe(level, beams)
        if cap is not None:
            capped = cap.after(level, beams, capped)
    return items(trie, beams, beam_size=num_leaves, filters=filters, cap=capped)


@torch.inference_mode()
def sample_search(
    model: CodeModel,
    trie: TorchTrie,
    read: Any,
    *,
    seeds: Int[Tensor, " batch"],
    num_samples: int,
    filters: Filter | None = None,
    temperature: float = 1.0,
) -> SampledRows:
    """`num_samples` different items for every user, drawn one after the other by their probability (trie.sampling).

    One seed for each of the histories that `read` holds. `temperature`: above 0; logits are divided by it on every
    level, so that below 1 likely codes become likelier.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    filters = with_stock(trie.stock, filters)
    beams = start_sampling(trie, seeds)
    logits, written = model.next_code_logits(read, None)
    for level in range(trie.trie.length):
        if level:
            logits, written = model.next_code_logits(read, written, codes=beams.code, parents=beams.parent)
        beams = sampling_step(
            trie, level, beams, logits / temperature, seeds=seeds, num_samples=num_samples, filters=filters
        )
    return sampled_rows(trie, beams, seeds=seeds, num_samples=num_samples, filters=filters)
