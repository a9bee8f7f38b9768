"""Beam search over semantic IDs inside a trie: every list it returns is made of catalogue items.

A model is known by two methods only, so that a T5 or a model of one's own decodes under the same trie.
"""

from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trie import Filter, Leaves, TorchTrie
from trie.filters import with_stock
from trie.step import items, start, step

Score = Literal["joint", "catalog"]


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
) -> Leaves:
    """The `beam_size` best items of every user by the log-probability of their codes, best first.

    `read` is what `model.read_history` returned for `batch_size` histories. With `filters`
    a prefix is kept only while an allowed item lies below it, so no beam ends in nothing (trie.filters). `score`:
    see `trie.step`. Users with fewer allowed items get -1 at the end of their rows.
    """
    filters = with_stock(trie.stock, filters)
    beams = start(trie, batch_size)
    logits, written = model.next_code_logits(read, None)
    for level in range(trie.trie.length):
        if level:
            logits, written = model.next_code_logits(read, written, codes=beams.code, parents=beams.parent)
        beams = step(trie, level, beams, logits, beam_size=beam_size, filters=filters, score=score)
    return items(trie, beams, beam_size=beam_size, filters=filters)
