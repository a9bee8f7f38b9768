"""How the generator follows each target's own codes: what it says of them, and how long a beam keeps them.

Both are without a history filter, and read every history once for all widths of beam.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from numpy import ndarray
from torch import Tensor

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.evaluate import history_batches
from genrec.generator.beam_search import CodeModel, beam_search
from genrec.generator.groups import in_groups
from genrec.recommendation.plan import cap_of, plan_of
from genrec.recommendation.recommender import Recommender
from genrec.recommendation.search import Beam, Search
from trie import TorchTrie
from trie.listing import child_ranges
from trie.scores import Score, normalised
from trie.step import Beams


class TargetPaths(NamedTuple):
    """Of every case, in their order."""

    nll: Float32[ndarray, "cases levels"]
    """-log P(code | history, the target's codes before it), in nats, by the run's score: over every code of the level
    ("joint"), or over those that the catalogue has there ("catalog")."""
    survived: Mapping[int, Int64[ndarray, " cases"]]
    """Width of beam -> how many of the target's codes were in it; a prefix that is lost never comes back."""


def follow_targets(
    recommender: Recommender,
    interactions: Interactions,
    cases: Cases,
    *,
    beam_sizes: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> TargetPaths:
    """The paths of all cases, with beams as the recommender's own; `progress(cases done, cases in all)`."""
    config, id_length = recommender.config, recommender.trie.trie.length
    cap = cap_of(config, None, None, k=config.k, id_length=id_length)
    plan = plan_of(config, "codes", k=config.k, cap=cap)
    nll = np.empty((len(cases.ends), id_length), dtype=np.float32)
    survived = {size: np.empty(len(cases.ends), dtype=np.int64) for size in beam_sizes}
    done = 0
    for chosen, histories in history_batches(interactions, cases, batch_size=config.batch_size):
        targets = interactions.items[cases.ends[chosen]]

        def follow(users: slice, histories: Any = histories, targets: Any = targets) -> TargetPaths:
            search = Search.of(recommender.model, histories[users], score=config.score)
            beams = {size: plan.beam(size) for size in beam_sizes}
            return _paths(search, recommender.trie, targets[users], beams)

        device = recommender.generator.device
        groups = in_groups(follow, len(chosen), beam_size=max(beam_sizes), device=device)
        nll[chosen] = np.concatenate([group.nll for group in groups])
        for size, levels in survived.items():
            levels[chosen] = np.concatenate([group.survived[size] for group in groups])
        done += len(chosen)
        if progress:
            progress(done, len(cases.ends))
    return TargetPaths(nll, survived)


def survival_by_level(survived: Int64[ndarray, " cases"], id_length: int) -> list[float]:
    """Share of the targets whose prefix is in the beam after each level."""
    return [float((survived > level).mean()) for level in range(id_length)]


@torch.inference_mode()
def target_nll(
    model: CodeModel, trie: TorchTrie, read: Any, *, positions: Int64[Tensor, " cases"], score: Score
) -> Float32[Tensor, "cases levels"]:
    """NLL of each code in nats, given the true codes before it; `read` is what the model made of the histories.

    `positions`: those of the targets in the trie. `score`: see `trie.step`.
    """
    node = code = torch.zeros_like(positions)[:, None]
    logits, written = model.next_code_logits(read, None)
    nll = []
    for level in range(trie.trie.length):
        if level:
            logits, written = model.next_code_logits(read, written, codes=code, parents=torch.zeros_like(code))
        ranges = child_ranges(trie, level, node, torch.zeros_like(node, dtype=torch.float32))
        logits, normaliser = normalised(trie, level, node, code, logits=logits, ranges=ranges, score=score)
        node = trie.node_above(level + 1, positions)[:, None]
        code = trie.codes(level, node)
        nll.append(normaliser - logits[:, 0].gather(1, code))
    return torch.cat(nll, dim=1)


def levels_survived(
    search: Search, trie: TorchTrie, targets: Int[ndarray, " cases"], beam: Beam
) -> Int64[Tensor, " cases"]:
    """How many codes of each target (a row of the trie) a beam keeps."""
    position = trie.positions(targets)
    survived = torch.zeros_like(position)

    def observe(level: int, beams: Beams) -> None:
        node = trie.node_above(level + 1, position)[:, None]
        survived.add_(((beams.node == node) & (beams.score > -torch.inf)).any(1))

    beam_search(
        search.model,
        trie,
        search.read,
        batch_size=search.batch_size,
        beam_size=beam.size,
        num_leaves=beam.num_leaves,
        score=search.score,
        cap=beam.cap,
        mass=beam.mass,
        at_least=beam.at_least,
        observe=observe,
    )
    return survived


def _paths(search: Search, trie: TorchTrie, targets: Int[ndarray, " cases"], beams: Mapping[int, Beam]) -> TargetPaths:
    positions = trie.positions(targets)
    nll = target_nll(search.model, trie, search.read, positions=positions, score=search.score)
    survived = {size: levels_survived(search, trie, targets, beam).cpu().numpy() for size, beam in beams.items()}
    return TargetPaths(nll.cpu().numpy(), survived)
