"""The semantic IDs of a run and the trie that was made from them, read and checked."""

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError
from tokenizer import SemanticIDs
from trie import PrefixTrie

_CHECKED_ROWS = 100_000


def load_semantic_ids(run: RunFolder) -> SemanticIDs:
    """The run's table of codes; `ArtifactError` if it is missing or damaged."""
    try:
        return SemanticIDs.load(run.semantic_ids)
    except ValueError as error:
        raise ArtifactError(f"{error}; make it with `genrec tokenize {run.path}`") from error


def load_prefix_trie(run: RunFolder) -> PrefixTrie:
    """The run's trie; `ArtifactError` if it is missing or damaged."""
    try:
        return PrefixTrie.load(run.prefix_trie)
    except ValueError as error:
        raise ArtifactError(f"{error}: delete {run.prefix_trie} and run `genrec index {run.path}`") from error


def trie_holds(prefix_trie: PrefixTrie, codes: Int[ndarray, "items id_length"]) -> bool:
    """Whether (a spread sample of) the rows, and no others, stand in the trie under their own codes."""
    if prefix_trie.num_rows != len(codes) or prefix_trie.length != codes.shape[1]:
        return False
    rows = np.unique(np.linspace(0, len(codes) - 1, _CHECKED_ROWS).astype(np.int64))
    tree = prefix_trie.to("cpu")
    node = torch.zeros(len(rows), dtype=torch.int64)
    for level in range(prefix_trie.length):
        node = tree.advance(level, node, torch.from_numpy(codes[rows, level].astype(np.int64)))
    if bool((node < 0).any()):
        return False
    positions = torch.from_numpy(np.ascontiguousarray(prefix_trie.arrays.position)[rows]).long()
    first, last = tree.first(prefix_trie.length, node), tree.first(prefix_trie.length, node + 1)
    return bool(((first <= positions) & (positions < last)).all())
