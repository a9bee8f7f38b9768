"""A run folder -> a Recommender, after checking that its parts belong together."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from torch import nn

from genrec.artifacts import RunFolder
from genrec.atomic_files import read_json
from genrec.data.prepared import read_catalogue
from genrec.errors import ArtifactError
from genrec.generator.model import Generator
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from genrec.strict_loading import load_dataclass
from tokenizer import SemanticIDs
from trie import PrefixTrie

RANKING_FILE = "ranking.json"
_CHECKED_ROWS = 100_000


def load_recommender(path: str | os.PathLike[str], *, device: str = "cpu") -> Recommender:
    """The recommender of a run folder; `ArtifactError` if a part is missing, damaged or of other semantic IDs."""
    run = RunFolder.open(path)
    for stage in ("prepare", "tokenize", "index", "train"):
        run.require(stage, "recommending")
    catalogue = read_catalogue(run.path)
    semantic_ids = load_semantic_ids(run)
    generator = load_generator(run.generator, device=device)
    prefix_trie = load_prefix_trie(run)
    check_same_ids(run, semantic_ids, np.asarray(catalogue.item_ids), generator, prefix_trie)
    return Recommender.of(generator, prefix_trie, catalogue, recommendation_config(run))


def recommendation_config(run: RunFolder) -> RecommendationConfig:
    """How the run recommends, with the blend's weight that its training chose."""
    section = yaml.safe_load(run.config.read_text(encoding="utf-8")).get("recommendation", {})
    config = load_dataclass(RecommendationConfig, section, source=f"{run.config}, section recommendation")
    if config.blend_weight is not None:
        return config
    return replace(config, blend_weight=float(read_json(run.generator / RANKING_FILE)["blend_weight"]))


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
        raise ArtifactError(f"{error}; make it with `genrec index {run.path}`") from error


def load_generator(folder: Path, *, device: str = "cpu") -> Generator:
    """A saved generator; `ArtifactError` if it is missing or damaged."""
    try:
        generator = Generator.from_pretrained(folder)
        nn.Module.to(generator, device)  # in place; transformers hides its own `to` from type checkers
        return generator
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ArtifactError(f"{folder} does not hold a whole generator ({reason}); train it again") from error


def check_same_ids(
    run: RunFolder, semantic_ids: SemanticIDs, item_ids: np.ndarray, generator: Generator, prefix_trie: PrefixTrie
) -> None:
    """`ArtifactError` unless items, semantic IDs, trie and generator were made from one another."""
    remedy = f"they come from different runs; make them again with `genrec run {run.config}`"
    if semantic_ids.item_ids is None or not np.array_equal(semantic_ids.item_ids, item_ids):
        raise ArtifactError(f"{run.semantic_ids} has other items than {run.items}; {remedy}")
    if generator.config.semantic_ids_fingerprint != semantic_ids.fingerprint:
        raise ArtifactError(f"{run.generator} was trained on other semantic IDs than {run.semantic_ids}; {remedy}")
    if prefix_trie.num_rows != len(semantic_ids) or prefix_trie.level_sizes != semantic_ids.level_sizes:
        raise ArtifactError(f"{run.prefix_trie} has another shape than {run.semantic_ids}; {remedy}")
    if not _holds(prefix_trie, semantic_ids):
        raise ArtifactError(f"{run.prefix_trie} was made from other semantic IDs than {run.semantic_ids}; {remedy}")


def _holds(prefix_trie: PrefixTrie, semantic_ids: SemanticIDs) -> bool:
    """Whether (a spread sample of) the items stand in the trie under their own codes."""
    rows = np.unique(np.linspace(0, len(semantic_ids) - 1, _CHECKED_ROWS).astype(np.int64))
    tree = prefix_trie.to("cpu")
    node = torch.zeros(len(rows), dtype=torch.int64)
    for level in range(prefix_trie.length):
        node = tree.advance(level, node, torch.from_numpy(semantic_ids.codes[rows, level].astype(np.int64)))
    if bool((node < 0).any()):
        return False
    positions = torch.from_numpy(np.ascontiguousarray(prefix_trie.arrays.position)[rows]).long()
    first, last = tree.first(prefix_trie.length, node), tree.first(prefix_trie.length, node + 1)
    return bool(((first <= positions) & (positions < last)).all())
