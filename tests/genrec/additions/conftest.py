"""What tests of added items look at."""

import pytest

from genrec.additions.stored import read_additions
from genrec.artifacts import RunFolder
from tokenizer import SemanticIDs


@pytest.fixture
def some_late_items(shop, tmp_path):
    """Writes a file with a few of the late items."""

    def write(first, last):
        path = tmp_path / f"late-{first}.jsonl"
        path.write_text("".join((shop / "late.jsonl").read_text().splitlines(keepends=True)[first:last]))
        return path

    return write


@pytest.fixture
def contents():
    """Reads all files of a run, by name, but those that adding items is meant to write."""

    def read(folder, *, without=("additions", "log.jsonl", ".lock")):
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        relative = ((path, path.relative_to(folder)) for path in files)
        return {str(name): path.read_bytes() for path, name in relative if name.parts[0] not in without}

    return read


@pytest.fixture
def table_of():
    """The IDs of a run's items and of those that were added."""

    def read(run):
        return read_additions(RunFolder(run), SemanticIDs.load(run / "semantic_ids.npz")).semantic_ids

    return read
