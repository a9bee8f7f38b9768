"""Fetching public data sets: resumed where a download broke off, checked, and whole files only."""

import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from genrec.data.download_sets import DATASETS, RemoteFile, find_set
from genrec.errors import DataError

__all__ = ["DATASETS", "download", "fetch"]

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60
Progress = Callable[[int, int], None]


def download(name: str, folder: Path, *, base_url: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch the set into `folder`/<its name>, which is returned; files that are there already are left alone.

    base_url: another server with the same paths. progress: called with a file's bytes so far and in all (0: unknown).
    Raises: DataError for an unknown name, a server that cannot be reached, an incomplete file (call again to go on
    where it stopped), and a wrong checksum.
    """
    known = find_set(name)
    target = folder / known.name
    target.mkdir(parents=True, exist_ok=True)
    _LOG.info("%s", known.terms)
    for file in known.files:
        url = file.url if base_url is None else base_url.rstrip("/") + urllib.parse.urlsplit(file.url).path
        if file.members:
            _fetch_archive(url, file, target, progress)
        else:
            fetch(url, target / _file_name(url), md5=file.md5, progress=progress)
    _LOG.info("data: {format: %s, interactions: %s, items: %s}", known.format, *known.paths)
    return target


def _fetch_archive(url: str, file: RemoteFile, target: Path, progress: Progress | None) -> None:
    """Fetch a .zip and keep only its wanted members."""
    if all((target / Path(member).name).exists() for member in file.members):
        return
    archive = target / _file_name(url)
    fetch(url, archive, md5=file.md5, progress=progress)
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in file.members:
                # only the wanted names, and only their last part: an archive cannot write elsewhere
                _extract(opened, member, target / Path(member).name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{archive} is not the expected archive: {error}. Delete it and download it again") from error
    archive.unlink()


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    with archive.open(member) as packed, part.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
        _flush(unpacked)
    part.replace(target)


def fetch(url: str, target: Path, *, md5: str | None = None, progress: Progress | None = None) -> None:
    """Fetch one file to `target`, which appears only when it is whole and its checksum is right.

    Without an `md5` the SHA-256 of the first download is kept in `target`.sha256, and a later one must have the same.
    """
    if target.exists():
        return
    part = target.with_name(target.name + ".part")
    try:
        _receive(url, part, progress)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: the server answers {error.code} {error.reason}. Is the set still there?") from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{url} cannot be fetched: {error}. Check the network and run the command again: it goes on where it "
            f"stopped; or put the file at {target} yourself"
        ) from error
    _check(part, target, md5)
    part.replace(target)
    _version_file(part).unlink(missing_ok=True)


def _receive(url: str, part: Path, progress: Progress | None) -> None:
    """Write the rest of the file to `part`; all of it if the server's file is not the one that `part` is of."""
    request = urllib.request.Request(url, headers={"User-Agent": "genrec", "Accept-Encoding": "identity"})
    start = part.stat().st_size if part.exists() and _version_file(part).exists() else 0
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", _version_file(part).read_text(encoding="utf-8"))
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()  # nothing is left to send: a whole file that was never checked, or another file
        return _receive(url, part, progress)
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        _remember_version(part, response)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else 0
        with part.open("ab" if start else "wb") as file:
            done = _copy(response, file, start, total, progress)
            _flush(file)
    if total and done != total:
        raise ConnectionError(f"{done} of {total} bytes came")
    return None


def _copy(response, file, done: int, total: int, progress: Progress | None) -> int:
    """Copy all that comes; the bytes that the file has then."""
    while chunk := response.read(_CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)
    return done


def _remember_version(part: Path, response) -> None:
    """Keep what tells the server's file from a later one (RFC 9110, 13.1.5); without it nothing is resumed."""
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    if version:
        _version_file(part).write_text(version, encoding="utf-8")
    else:
        _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _check(part: Path, target: Path, md5: str | None) -> None:
    """Raises: DataError if the file is not the one that was published, or not the one that came the first time."""
    if md5 is not None:
        came = _digest(part, "md5")
        if came != md5:
            part.unlink()
            raise DataError(f"{target.name}: expected MD5 {md5}, got {came}; the file was removed. Download it again")
        return
    record = target.with_name(target.name + ".sha256")
    came = _digest(part, "sha256")
    if not record.exists():
        record.write_text(f"{came}  {target.name}\n", encoding="utf-8")
    elif (first := record.read_text(encoding="utf-8").split()[0]) != came:
        part.unlink()
        raise DataError(
            f"{target.name}: the first download had SHA-256 {first}, this one {came}; it was removed. "
            f"If the publisher has changed the file, delete {record} and download it again"
        )


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _file_name(url: str) -> str:
    return urllib.parse.urlsplit(url).path.rsplit("/", 1)[1]
