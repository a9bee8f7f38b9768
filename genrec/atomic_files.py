"""Files and folders that appear whole or not at all: written beside under a temporary name, synced, renamed."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genrec.errors import ArtifactError

TEMPORARY = ".tmp-"
"""Names that start so are unfinished; whoever holds the run's lock may delete them."""


def atomic_write(path: str | os.PathLike[str], content: bytes | Callable[[Path], None]) -> None:
    """Put a file at `path`, its folders made as needed: bytes, or whatever the function writes to the path it is given.

    The temporary path has the same suffix, so that `np.save` and the like add none. If writing fails, an earlier file
    at `path` stays as it was.
    """
    with _beside(Path(path)) as temporary:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        _sync(temporary)
        temporary.replace(path)


def atomic_folder(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Put a folder at `path` with what the function writes into the empty folder it is given.

    An earlier folder is replaced. A power cut between the two renames leaves no folder, never a mixture.
    """
    path = Path(path)
    with _beside(path) as temporary, _beside(path) as replaced:
        temporary.mkdir()
        write(temporary)
        for entry in temporary.rglob("*"):
            _sync(entry)
        _sync(temporary)
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)


def atomic_json(path: str | os.PathLike[str], value: Any) -> None:
    """Put a value at `path` as indented JSON; `ValueError` for NaN and infinity, which JSON does not have."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, f"{text}\n".encode())


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON object in a file; `ArtifactError` if it is missing or damaged."""
    try:
        value = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; run the stage that writes it") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ArtifactError(f"{path} is damaged: {error.msg} at {where}; delete it and run the stage again") from error
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path} is damaged: not UTF-8 text; delete it and run the stage again") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} holds a JSON {type(value).__name__}, expected an object; delete it and run again")
    return value


def remove(path: Path) -> None:
    """Delete a file or a whole folder; nothing happens if it is gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A free temporary path in the same folder; afterwards it is gone, and the folder's entries are on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        yield temporary
    finally:
        remove(temporary)
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
