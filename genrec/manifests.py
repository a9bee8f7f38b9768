"""SHA-256 sums of a folder's files, beside them: safetensors notices no flipped bit, and JSON only some."""

from pathlib import Path
from typing import Any

from genrec.errors import ArtifactError
from genrec.fingerprints import file_fingerprint, files_of
from genrec.model_card import CARD_FILE
from tokenizer.sealed_json import read_sealed_json, sealed_json

MANIFEST_FILE = "manifest.json"


def write_manifest(folder: Path, **about: Any) -> None:
    """Put the sums of all files that are in the folder now into `manifest.json`, and what else is to be known.

    A model card is left out: it may be edited.
    """
    sealed = [file for file in files_of(folder) if file.name != CARD_FILE]
    files = {file.relative_to(folder).as_posix(): file_fingerprint(file) for file in sealed}
    (folder / MANIFEST_FILE).write_bytes(sealed_json({**about, "files": files}))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote; `ArtifactError` if it is missing or damaged."""
    path = folder / MANIFEST_FILE
    try:
        manifest = read_sealed_json(path.read_bytes())
        return {**manifest, "files": {str(name): str(digest) for name, digest in manifest["files"].items()}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error!r})") from error


def check_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after every file was found to be as it was written; `ArtifactError` names the first that is not."""
    manifest = read_manifest(folder)
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name} is missing")
        if file_fingerprint(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is damaged: its SHA-256 is not the one in {MANIFEST_FILE}")
    return manifest
