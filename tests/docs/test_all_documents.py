"""What holds for every document: links, files, commands, configs and code that are not run."""

import re

import pytest
from document_checks import broken_links, check_block, missing_files
from documents import ROOT, Document, documents

from genrec.config import load_config

DOCUMENTS = {str(path.relative_to(ROOT)): Document.read(path) for path in documents()}
OTHERS = [(name, block) for name, document in DOCUMENTS.items() for block in document.other_blocks]


@pytest.mark.parametrize(("name", "block"), OTHERS, ids=[f"{name}:{block.line}" for name, block in OTHERS])
def test_a_block_that_does_not_run_names_what_exists(name, block):
    check_block(block, DOCUMENTS[name])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    assert not list(broken_links(DOCUMENTS[name]))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_are_there(name):
    assert not list(missing_files(DOCUMENTS[name]))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_marked_block_is_of_a_language_that_runs(name):
    marked = [block for block in DOCUMENTS[name].blocks if "test" in block.marks]
    assert not [block.line for block in marked if not block.runs and not block.file]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_shown_stands_behind_what_printed_it(name):
    document = DOCUMENTS[name]
    shown = [block for run in document.run_blocks for block in document.shown_after(run)]
    assert shown == [block for block in document.blocks if block.stream]


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("docs/") and name != "docs/README.md"])
def test_a_document_begins_with_what_the_reader_can_do_after_it(name):
    assert re.fullmatch(r"After this you can [^.]*\.", DOCUMENTS[name].lead)


@pytest.mark.parametrize("name", ["README.md", "docs/README.md"])
def test_an_index_lists_every_document(name):
    links = {link.removeprefix("docs/") for link in DOCUMENTS[name].links}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= links


def test_every_document_with_marked_blocks_is_run():
    tested = {path.stem.removeprefix("test_").replace("_", "-") for path in (ROOT / "tests" / "docs").glob("test_*.py")}
    marked = {path.stem for path in (ROOT / "docs").glob("*.md") if Document.read(path).run_blocks}
    assert marked <= tested


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_loads(path):
    assert load_config(path).training.epochs >= 1


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_accelerate_knows_every_launch_profile(path):
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes >= 1
    assert path.name in DOCUMENTS["docs/many-gpus.md"].text
