"""The marked blocks of docs/report.md run, in order."""

from documents import ROOT, Document, run_and_compare

DOCUMENT = Document.read(ROOT / "docs" / "report.md")


def test_a_marked_block_runs_and_prints_what_is_shown(block, folder):
    run_and_compare(DOCUMENT, block, folder)
