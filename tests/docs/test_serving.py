"""The marked blocks of docs/serving.md run, in order, against the server that the first of them starts."""

import os
import signal
from contextlib import suppress

import pytest
from documents import ROOT, Document, run_and_compare

DOCUMENT = Document.read(ROOT / "docs" / "serving.md")


@pytest.fixture(scope="module", autouse=True)
def _no_server_is_left(folder):
    yield
    with suppress(ProcessLookupError, FileNotFoundError):  # the last block has ended it
        os.kill(int((folder / "serve.pid").read_text()), signal.SIGKILL)


def test_a_marked_block_runs_and_prints_what_is_shown(block, folder):
    run_and_compare(DOCUMENT, block, folder)
