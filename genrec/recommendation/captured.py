"""The searches of a recommender that a GPU replays from CUDA graphs."""

from collections.abc import Mapping

from genrec.generator.captured_search import Buckets, CapturedSearch
from genrec.generator.search_model import SearchModel
from trie import TorchTrie
from trie.scores import Score

Captured = Mapping[tuple[TorchTrie, Score, int, int], CapturedSearch]
"""By trie, score, beam size and number of leaves."""


def captured_searches(
    model: SearchModel, scores: Mapping[TorchTrie, Score], *, beam_size: int, candidates: int, batch_size: int
) -> Captured:
    """Searches of each trie by its score, for either ranking; nothing is captured before it is asked for.

    They take batches up to that size, of histories as long as the model reads them.
    """
    buckets = Buckets.up_to(batch_size, lengths=(model.generator.config.max_items,))
    return {
        (trie, score, beam_size, num_leaves): CapturedSearch(
            model, trie, beam_size=beam_size, num_leaves=num_leaves, score=score, buckets=buckets
        )
        for trie, score in scores.items()
        for num_leaves in {beam_size, max(beam_size, candidates)}
    }
