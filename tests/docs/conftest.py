"""A folder for each document, with runs/small in it where the document reads it."""

import shutil

import pytest
from documents import ROOT, SMALL_RUN, Block, run_block


def pytest_generate_tests(metafunc):
    """A test of a module with a DOCUMENT runs once for each of its blocks."""
    document = getattr(metafunc.module, "DOCUMENT", None)
    if document is not None and "block" in metafunc.fixturenames:
        names = [f"{block.language}-{block.line}" for block in document.run_blocks]
        metafunc.parametrize("block", document.run_blocks, ids=names)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The run that documents begin from, made by the command that they name."""
    assert SMALL_RUN in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("small")
    run_block(Block("bash", ("test",), SMALL_RUN, 1), folder)
    return folder / "runs" / "small"


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    """Empty but for the files and the run of the module's DOCUMENT."""
    document = request.module.DOCUMENT
    path = tmp_path_factory.mktemp(document.path.stem)
    document.write_files(path)
    if "runs/small" in document.text:
        shutil.copytree(request.getfixturevalue("small_run"), path / "runs" / "small")
    return path
