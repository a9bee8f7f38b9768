"""The files behind a path of the config: folders of parts, kinds by extension, gzip."""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Literal

from genrec.errors import DataError

Kind = Literal["csv", "tsv", "jsonl", "parquet"]
_KINDS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def data_folder() -> Path:
    """Where relative paths of a config start: $GENREC_DATA, or `data/` in the current folder."""
    return Path(os.environ.get("GENREC_DATA") or "data")


def data_files(path: Path) -> list[Path]:
    """The file itself, or the parts of a folder (at any depth, sorted by path; names in "_" or "." are skipped)."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(
            f"there is no file or folder {path}. Relative paths start at the data folder: "
            "set GENREC_DATA, give an absolute path, or fetch the set with `genrec download NAME`"
        )
    parts = (part for part in path.rglob("*") if part.is_file())
    visible = [part for part in parts if not any(name[0] in "_." for name in part.relative_to(path).parts)]
    if not visible:
        raise DataError(f"the folder {path} has no files; expected the parts of a table in it")
    return sorted(visible)


def bare_suffix(path: Path) -> str:
    """The file's extension in lower case, without a final .gz."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def file_kind(path: Path) -> Kind:
    """The format that the extension stands for."""
    kind = _KINDS.get(bare_suffix(path))
    if kind is None:
        raise DataError(
            f"{path}: cannot tell the format from the extension; "
            f"expected one of {', '.join(_KINDS)}, with or without .gz (Parquet without)"
        )
    return kind


@contextmanager
def open_text(path: Path, *, encoding: str = "utf-8-sig", errors: str = "strict") -> Iterator[TextIOWrapper]:
    """The file as text, unpacked if its name ends in .gz; a byte-order mark is skipped; line ends are kept.

    Raises: DataError for a .gz file that is damaged, and for bytes of another encoding if `errors` is "strict".
    """
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding=encoding, errors=errors, newline="") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}. Download or pack it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {encoding}: {error}. Convert it to UTF-8") from error


def numbered_lines(path: Path, *, errors: str = "strict") -> Iterator[tuple[int, str]]:
    """The file's lines that are not blank, without their line ends, numbered from 1."""
    with open_text(path, errors=errors) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n")
