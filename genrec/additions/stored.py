"""Added items on disk, beside the run that they were added to.

    additions/manifest.json     which of the folders counts, the IDs that it extends, and the sizes of its files
    additions/000002/           items.parquet  embeddings.npy  semantic_ids.npz  trie/

A folder is written whole before the manifest is replaced by one rename: a killed process leaves what was there before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, atomic_json, read_json, remove
from genrec.data.catalogue import Catalogue
from genrec.data.prepared import read_catalogue, write_catalogue
from genrec.data.vector_files import open_vectors
from genrec.errors import ArtifactError
from genrec.fingerprints import files_of
from genrec.stored_ids import trie_holds
from tokenizer import SemanticIDs
from trie import PrefixTrie

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, eq=False)
class Additions:
    """All items that a run got after its training."""

    catalogue: Catalogue
    """The added items alone, in the order of their rows, which follow those of the run."""
    embeddings: Float32[ndarray, "items embedding_dim"] | None
    """Their vectors; None where codes came from a file or ask for no vectors."""
    semantic_ids: SemanticIDs
    """Of the run's items and then of the added ones."""
    prefix_trie: PrefixTrie
    """Of the added items alone: its row 0 is the first of them."""


def write_additions(run: RunFolder, additions: Additions, *, base: SemanticIDs) -> None:
    """Put these in the place of all earlier additions to the IDs `base`. The caller holds the run's lock."""
    earlier = [folder.name for folder in run.additions.glob("[0-9]*")]
    name = f"{max(map(int, earlier), default=0) + 1:06d}"
    atomic_folder(run.additions / name, lambda folder: _write_parts(folder, additions))
    folder = run.additions / name
    manifest = {
        "format": FORMAT_VERSION,
        "folder": name,
        "base_fingerprint": base.fingerprint,
        "fingerprint": additions.semantic_ids.fingerprint,
        "items": len(additions.catalogue),
        "outputs": {file.relative_to(folder).as_posix(): file.stat().st_size for file in files_of(folder)},
    }
    try:
        atomic_json(run.additions / MANIFEST_FILE, manifest)
    except BaseException:
        remove(folder)
        raise
    for old in earlier:
        remove(run.additions / old)


def read_additions(run: RunFolder, base: SemanticIDs) -> Additions | None:
    """What was added to the run, whose own IDs are `base`; None where nothing was.

    Raises:
        ArtifactError: the additions were made to other IDs, or a file is missing or damaged.
    """
    if not (run.additions / MANIFEST_FILE).exists():
        return None
    remedy = f"delete {run.additions} and add the items again with `genrec add-items {run.path}`"
    manifest = _manifest(run, remedy)
    try:
        return _read_named(run, manifest, base, remedy)
    except ArtifactError:
        # another process may have put newer additions in the place of these while they were read
        newer = _manifest(run, remedy)
        if newer["folder"] == manifest["folder"]:
            raise
        return _read_named(run, newer, base, remedy)


def _read_named(run: RunFolder, manifest: dict[str, Any], base: SemanticIDs, remedy: str) -> Additions:
    if manifest["base_fingerprint"] != base.fingerprint:
        raise ArtifactError(f"{run.additions} was added to other semantic IDs than {run.semantic_ids}; {remedy}")
    folder = run.additions / str(manifest["folder"])
    for name, size in dict(manifest["outputs"]).items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise ArtifactError(f"{folder / name} is missing or not as it was written ({size} bytes); {remedy}")
    try:
        additions = _read_parts(folder)
    except (ValueError, ArtifactError) as error:
        raise ArtifactError(f"{folder} is damaged: {error}; {remedy}") from error
    _check(additions, base, folder, remedy)
    return additions


def discard_stale_additions(run: RunFolder, base: SemanticIDs) -> bool:
    """Delete additions that were made to other IDs than the run's new ones; whether there were any."""
    path = run.additions / MANIFEST_FILE
    if not run.additions.exists():
        return False
    if path.is_file() and read_json(path).get("base_fingerprint") == base.fingerprint:
        return False
    path.unlink(missing_ok=True)
    remove(run.additions)
    return True


def _write_parts(folder: Path, additions: Additions) -> None:
    write_catalogue(additions.catalogue, folder)
    if additions.embeddings is not None:
        np.save(folder / "embeddings.npy", additions.embeddings, allow_pickle=False)
    additions.semantic_ids.save(folder / "semantic_ids.npz")
    additions.prefix_trie.save(folder / "trie")


def _read_parts(folder: Path) -> Additions:
    vectors = folder / "embeddings.npy"
    return Additions(
        read_catalogue(folder),
        open_vectors(vectors) if vectors.exists() else None,
        SemanticIDs.load(folder / "semantic_ids.npz"),
        PrefixTrie.load(folder / "trie"),
    )


def _manifest(run: RunFolder, remedy: str) -> dict[str, Any]:
    manifest = read_json(run.additions / MANIFEST_FILE)
    if manifest.get("format") != FORMAT_VERSION or not {"folder", "base_fingerprint", "outputs"} <= set(manifest):
        raise ArtifactError(f"{run.additions / MANIFEST_FILE} is not the manifest of additions; {remedy}")
    return manifest


def _check(additions: Additions, base: SemanticIDs, folder: Path, remedy: str) -> None:
    """`ArtifactError` unless the parts were made from one another and go on where the run ends."""
    table, added = additions.semantic_ids, additions.catalogue.item_ids
    if base.item_ids is None or table.item_ids is None or table.level_sizes != base.level_sizes:
        raise ArtifactError(f"{folder} has other level sizes than the run, or no item ids; {remedy}")
    known = len(base)
    if not np.array_equal(table.codes[:known], base.codes) or not np.array_equal(
        table.item_ids, np.concatenate([base.item_ids, added])
    ):
        raise ArtifactError(f"{folder} does not go on where the run's semantic IDs end; {remedy}")
    if additions.embeddings is not None and len(additions.embeddings) != len(added):
        raise ArtifactError(f"{folder} has {len(additions.embeddings)} vectors for {len(added)} items; {remedy}")
    if not trie_holds(additions.prefix_trie, table.codes[known:]):
        raise ArtifactError(f"{folder / 'trie'} was made from other semantic IDs; {remedy}")
