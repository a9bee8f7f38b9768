"""A run folder -> a Recommender, after checking that its parts belong together."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from torch import nn

from genrec.additions.changes import Changes
from genrec.additions.stored import read_changes
from genrec.artifacts import RunFolder
from genrec.atomic_files import read_json
from genrec.data.prepared import read_catalogue
from genrec.errors import ArtifactError, UnknownItemError
from genrec.generator.model import Generator
from genrec.manifests import MANIFEST_FILE, check_manifest
from genrec.recommendation.recommender import RecommendationConfig, Recommender
from genrec.stored_ids import load_prefix_trie, load_semantic_ids, trie_holds
from genrec.strict_loading import load_dataclass
from tokenizer import SemanticIDs
from trie import PrefixTrie

RANKING_FILE = "ranking.json"


class LoadedRun(NamedTuple):
    """A run as it lies on disk."""

    recommender: Recommender
    changes: Changes
    """Of the catalogue, which the recommender has."""


def load_recommender(path: str | os.PathLike[str], *, device: str = "cpu", with_additions: bool = True) -> Recommender:
    """The recommender of a run folder; `ArtifactError` if a part is missing, damaged or of other semantic IDs."""
    return load_run(RunFolder.open(path), device=device, with_additions=with_additions).recommender


def load_run(run: RunFolder, *, device: str = "cpu", with_additions: bool = True) -> LoadedRun:
    """A run's recommender with the changes that it was made with; `ArtifactError` as in `load_recommender`."""
    for stage in ("prepare", "tokenize", "index", "train"):
        run.require(stage, "recommending")
    catalogue = read_catalogue(run.path)
    semantic_ids = load_semantic_ids(run)
    generator = load_generator(run.generator, device=device)
    prefix_trie = load_prefix_trie(run)
    check_same_ids(run, semantic_ids, np.asarray(catalogue.item_ids), generator, prefix_trie)
    changes = read_changes(run, semantic_ids) if with_additions else Changes(semantic_ids)
    added = None
    if changes.additions is not None:
        catalogue = catalogue.with_items(changes.additions.catalogue)
        generator.add_items(torch.from_numpy(changes.additions.codes))
        added = changes.additions.prefix_trie
    names = read_json(run.code_names) if run.code_names.exists() else {}
    config = recommendation_config(run)
    recommender = Recommender.of(generator, prefix_trie, catalogue, config, added=added, code_names=names)
    return LoadedRun(_without_removed(run, recommender, changes), changes)


def _without_removed(run: RunFolder, recommender: Recommender, changes: Changes) -> Recommender:
    """The recommender as a new one is: version 0."""
    if not changes.removed:
        return recommender
    try:
        return replace(recommender.without(sorted(changes.removed)), version=0)
    except (UnknownItemError, ValueError) as error:
        raise ArtifactError(f"{run.additions} takes out what cannot be: {error}; delete that folder") from error


def recommendation_config(run: RunFolder) -> RecommendationConfig:
    """How the run recommends, with the blend's weight that its training chose."""
    section = yaml.safe_load(run.config.read_text(encoding="utf-8")).get("recommendation", {})
    config = load_dataclass(RecommendationConfig, section, source=f"{run.config}, section recommendation")
    if config.blend_weight is not None:
        return config
    return replace(config, blend_weight=float(read_json(run.generator / RANKING_FILE)["blend_weight"]))


def load_generator(folder: Path, *, device: str = "cpu") -> Generator:
    """A saved generator; `ArtifactError` if it is missing or damaged.

    Files are compared with their `manifest.json`, which a run's generator has.
    """
    if (folder / MANIFEST_FILE).exists():
        check_manifest(folder)
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
    if not trie_holds(prefix_trie, semantic_ids.codes):
        raise ArtifactError(f"{run.prefix_trie} was made from other semantic IDs than {run.semantic_ids}; {remedy}")
