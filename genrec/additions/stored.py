"""Changes of a catalogue on disk, beside the run that they were made to.

    additions/manifest.json     which of the folders count and the sizes of their files, the IDs that they extend, and
                                which items are taken out
    additions/000002/           a part: items that were added together

A part is written whole before the manifest is replaced by one rename: a killed process leaves what was there before.
To add items writes these, and the parts before that have no more items than come, as one part: so there are few parts,
and an item is written again only when as many have come after it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrec.additions.changes import Additions, Changes
from genrec.additions.part import Part
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, atomic_json, read_json, remove
from genrec.errors import ArtifactError
from genrec.fingerprints import file_fingerprint, files_of, fingerprint
from tokenizer import SemanticIDs

FORMAT_VERSION = 2
MANIFEST_FILE = "manifest.json"
_KEYS = {"base_fingerprint", "parts", "removed"}


def write_changes(run: RunFolder, changes: Changes) -> Changes:
    """Put these in the place of all earlier changes; returns them as they lie on disk. The caller holds the lock."""
    earlier = {folder.name for folder in run.additions.glob("[0-9]*")}
    parts = [] if changes.additions is None else with_few(changes.additions.parts)
    written = ""
    if parts and not parts[-1].folder:
        written = f"{max(map(int, earlier), default=0) + 1:06d}"
        atomic_folder(run.additions / written, parts[-1].write)
        parts[-1] = parts[-1].lying_in(run.additions / written)
    manifest = _manifest_of(run, changes, parts)
    try:
        atomic_json(run.additions / MANIFEST_FILE, manifest)
    except BaseException:
        if written:
            remove(run.additions / written)
        raise
    for name in earlier - {part.folder for part in parts}:
        remove(run.additions / name)
    additions = None if changes.additions is None else replace(changes.additions, parts=tuple(parts))
    return replace(changes, additions=additions, manifest=manifest)


def with_few(parts: tuple[Part, ...]) -> list[Part]:
    """The parts, those that were not written yet, and with them the smaller ones before, as one at the end."""
    kept = [part for part in parts if part.folder]
    new = [part for part in parts if not part.folder]
    if not new:
        return kept
    while kept and len(kept[-1]) <= sum(map(len, new)):
        new.insert(0, kept.pop())
    return [*kept, Part.joined(new)]


def read_changes(run: RunFolder, base: SemanticIDs) -> Changes:
    """What was changed since the training of the run, whose own IDs are `base`.

    Raises:
        ArtifactError: the changes were made to other IDs, or a file is missing or damaged.
    """
    manifest = read_manifest(run)
    while manifest is not None:
        try:
            return _read_named(run, manifest, base)
        except ArtifactError:
            # another process may have put newer changes in the place of these while they were read
            newer = read_manifest(run)
            if newer == manifest:
                raise
            manifest = newer
    return Changes(base)


def read_additions(run: RunFolder, base: SemanticIDs) -> Additions | None:
    """What was added to the run, whether it is still recommended or not; None where nothing was. See `read_changes`."""
    return read_changes(run, base).additions


def read_manifest(run: RunFolder) -> dict[str, Any] | None:
    """The manifest of the changes; None where there are none. `ArtifactError` if it is damaged."""
    path = run.additions / MANIFEST_FILE
    if not path.exists():
        return None
    manifest = read_json(path)
    if manifest.get("format") != FORMAT_VERSION or not set(manifest) >= _KEYS:
        raise ArtifactError(f"{path} is not a manifest of format {FORMAT_VERSION}; {_remedy(run)}")
    return manifest


def fingerprint_of_items(run: RunFolder) -> str | None:
    """Equal where the same was added, whatever was taken out since then; None where nothing was."""
    manifest = read_manifest(run)
    if manifest is None or not manifest["parts"]:
        return None
    return fingerprint([file_fingerprint(run.additions / str(part["folder"])) for part in manifest["parts"]])


def discard_stale_additions(run: RunFolder, base: SemanticIDs) -> bool:
    """Delete changes that were made to other IDs than the run's new ones; whether there were any."""
    path = run.additions / MANIFEST_FILE
    if not run.additions.exists():
        return False
    if path.is_file() and read_json(path).get("base_fingerprint") == base.fingerprint:
        return False
    path.unlink(missing_ok=True)
    remove(run.additions)
    return True


def _manifest_of(run: RunFolder, changes: Changes, parts: list[Part]) -> dict[str, Any]:
    return {
        "format": FORMAT_VERSION,
        "base_fingerprint": changes.base.fingerprint,
        "parts": [
            {"folder": part.folder, "items": len(part), "outputs": _sizes(run.additions / part.folder)}
            for part in parts
        ],
        "removed": sorted(changes.removed),
    }


def _sizes(folder: Path) -> dict[str, int]:
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files_of(folder)}


def _read_named(run: RunFolder, manifest: dict[str, Any], base: SemanticIDs) -> Changes:
    if manifest["base_fingerprint"] != base.fingerprint:
        raise ArtifactError(f"{run.additions} was added to other semantic IDs than {run.semantic_ids}; {_remedy(run)}")
    try:
        parts = tuple(_read_part(run, about) for about in manifest["parts"])
        removed = frozenset(map(str, manifest["removed"]))
    except (KeyError, TypeError, AttributeError) as error:
        path = run.additions / MANIFEST_FILE
        raise ArtifactError(f"{path} is not as it was written ({error!r}); {_remedy(run)}") from error
    additions = None if not parts else Additions(parts, _table(run, base, parts))
    return Changes(base, additions, removed, manifest)


def _read_part(run: RunFolder, about: dict[str, Any]) -> Part:
    folder = run.additions / str(about["folder"])
    for name, size in dict(about["outputs"]).items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise ArtifactError(f"{folder / name} is missing or not as it was written ({size} bytes); {_remedy(run)}")
    try:
        return Part.read(folder)
    except (ValueError, ArtifactError) as error:
        raise ArtifactError(f"{folder} is damaged: {error}; {_remedy(run)}") from error


def _table(run: RunFolder, base: SemanticIDs, parts: tuple[Part, ...]) -> SemanticIDs:
    """The IDs of the run and of all parts. `ArtifactError` if they do not go on where the run ends."""
    assert base.item_ids is not None
    if any(part.semantic_ids.level_sizes != base.level_sizes for part in parts):
        raise ArtifactError(f"{run.additions} has other level sizes than the run; {_remedy(run)}")
    codes = np.concatenate([base.codes, *(part.semantic_ids.codes for part in parts)])
    item_ids = np.concatenate([base.item_ids, *(part.catalogue.item_ids for part in parts)])
    try:
        return SemanticIDs(codes, base.level_sizes, item_ids)
    except ValueError as error:
        raise ArtifactError(f"{run.additions} does not go on where the run ends: {error}; {_remedy(run)}") from error


def _remedy(run: RunFolder) -> str:
    return f"delete {run.additions} and add the items again with `genrec add-items {run.path}`"
