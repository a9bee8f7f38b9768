"""Folders of parts: each part of the input makes one of the output, which appears whole or not at all.

A finished part has a note in `OUT/.done/` with the fingerprint of the part, of the run and of the options. So work that
was stopped, on one machine or on many, goes on where it was: what is noted is not done again, and what is done twice
all the same, because a worker died before its note, is the same file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from genrec.atomic_files import atomic_json, read_json
from genrec.errors import ArtifactError, DataError
from genrec.fingerprints import file_fingerprint, fingerprint
from genrec.progress import Progress

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")

Counts = Mapping[str, int]
DoPart = Callable[[Path, Path], Counts]
"""Reads one part and writes another, whole or not at all; what it counted."""


@runtime_checkable
class Work(Protocol):
    """What is done to every part. Workers are sent it, so it is small: what it needs, it loads where it is done."""

    def fingerprint(self) -> str:
        """Of the run and the options: equal fingerprints make equal parts."""
        ...

    def load(self) -> DoPart:
        """Ready to be done, again and again."""
        ...


class Part(NamedTuple):
    """One part of the input and its place in the output."""

    source: Path
    target: Path
    note: Path


@dataclass(frozen=True)
class Report:
    """What all parts together came to."""

    out: Path
    parts: int
    done_before: int
    """Of the parts: those that were there already."""
    counts: dict[str, int]
    """Those of all parts, done before or now, added up."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"out": str(self.out), "parts": self.parts, "done_before": self.done_before, **self.counts}


Runner = Callable[[Work, list[Part]], Iterable[Counts]]
"""Does the parts, in any order."""


def do_parts(work: Work, source: Path, out: Path, *, run: Runner, progress: Progress) -> Report:
    """Bring every part of `source` (a folder, or a single file) to `out`, a folder of Parquet files.

    Raises:
        DataError: there are no parts, two of them would become one file, one is not as documented, or `out` lies in
            `source` or holds what was made of other parts.
    """
    parts = parts_of(source, out)
    _check_out(parts, source, out)
    wanted = work.fingerprint()
    found = [counts_before(part, wanted) for part in parts]
    pending = [part for part, counts in zip(parts, found, strict=True) if counts is None]
    before = [counts for counts in found if counts is not None]
    total: dict[str, int] = {}
    with progress.bar(out.name) as bar:
        for number, counts in enumerate(chain(before, run(work, pending)), start=1):
            _add(total, counts)
            bar(number, len(parts))
    return Report(out, len(parts), len(before), total)


def parts_of(source: Path, out: Path) -> list[Part]:
    """Sorted by name. `DataError` if there are none."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    files = [path for path in files if path.name.endswith(SUFFIXES) and not path.name.startswith((".", "_"))]
    if not files:
        raise DataError(
            f"{source} has no parts: expected a file, or a folder of files, ending in {', '.join(SUFFIXES)}"
        )
    parts = {}
    for path in files:
        name = path.name if path == source else "-".join(path.relative_to(source).parts)
        stem = name.removesuffix(".gz").rpartition(".")[0]
        if stem in parts:
            raise DataError(f"{path} and {parts[stem].source} would both become {stem}.parquet; rename one of them")
        parts[stem] = Part(path, out / f"{stem}.parquet", out / ".done" / f"{stem}.json")
    return list(parts.values())


def _check_out(parts: list[Part], source: Path, out: Path) -> None:
    """`DataError` where an output would be taken for an input, or for a part of these."""
    lies_inside = source.is_dir() and out.resolve().is_relative_to(source.resolve())
    if lies_inside or any(part.source.resolve() == part.target.resolve() for part in parts):
        raise DataError(f"{out} lies in {source}, where its files would be taken for parts; choose another folder")
    strange = sorted({path.name for path in out.glob("[!._]*.parquet")} - {part.target.name for part in parts})
    if strange:
        raise DataError(
            f"{out / strange[0]} was made of a part that {source} does not have ({len(strange)} such files); "
            "delete them, or choose another folder for the output"
        )


def counts_before(part: Part, work: str) -> dict[str, int] | None:
    """What was counted when the part was done with this work; None if it is not done, or not as it is now."""
    try:
        note = read_json(part.note)
        is_same = note["part"] == _of_part(part, work) and note["bytes"] == part.target.stat().st_size
        return {str(name): int(count) for name, count in note["counts"].items()} if is_same else None
    except (ArtifactError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def finish(part: Part, work: str, do: DoPart) -> Counts:
    """Do one part unless it is done, and note it."""
    counts = counts_before(part, work)
    if counts is None:
        part.note.unlink(missing_ok=True)
        read = _of_part(part, work)  # before: a part that is replaced meanwhile is to be done again
        counts = dict(do(part.source, part.target))
        note = {"part": read, "bytes": part.target.stat().st_size, "counts": counts}
        atomic_json(part.note, note)
    return counts


def one_after_the_other(work: Work, parts: list[Part]) -> Iterator[Counts]:
    """In this process."""
    if parts:
        do, wanted = work.load(), work.fingerprint()
        for part in parts:
            yield finish(part, wanted, do)


def _of_part(part: Part, work: str) -> str:
    return fingerprint(work, part.source.name, file_fingerprint(part.source))


def _add(total: dict[str, int], counts: Counts) -> None:
    for name, count in counts.items():
        total[name] = total.get(name, 0) + count
