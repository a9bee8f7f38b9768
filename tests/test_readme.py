"""Commands in the README are tests: blocks marked `test` run in order in an empty folder; all the others are parsed."""

import re

import pytest
from documents import ROOT, SMALL_RUN, Block, Document, matches, run_and_compare

from genrec.cli import app

README = Document.read(ROOT / "README.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def test_the_readme_has_blocks_to_run():
    assert {block.language for block in README.run_blocks} == {"bash", "python"}
    assert README.run_blocks[0].text.startswith(SMALL_RUN)


@pytest.mark.parametrize("block", README.run_blocks, ids=lambda block: f"{block.language}-{block.line}")
def test_a_marked_block_runs(block, folder):
    printed = run_and_compare(README, block, folder)
    if block.text.startswith(SMALL_RUN):
        assert_same_table(printed.output)


def assert_same_table(printed):
    """The demo takes minutes: its table is compared, but for the figures, with that of a small run."""
    shown = next(block.text for block in README.blocks if "Seconds: " in block.text)
    table = Block("text", ("output", "figures"), shown[shown.index("Test: ") :], 1)
    assert matches(table, printed[: printed.index("\n", printed.index("Seconds: "))])


def test_the_readme_fits_a_few_screens():
    assert len(README.text.splitlines()) <= 260


def test_the_table_of_commands_has_all_of_them():
    from typer.main import get_command

    top = get_command(app).commands
    names = {name for name in top if not hasattr(top[name], "commands")}
    nested = {f"{group} {name}" for group in set(top) - names for name in top[group].commands}
    first_cells = re.findall(r"^\| (`.*?) \|", README.text, re.MULTILINE)
    shown = {part.removeprefix("genrec ") for cell in first_cells for part in re.findall(r"`([^`]*)`", cell)}
    missing = {name for name in names | nested if not any(f"{part} ".startswith(f"{name} ") for part in shown)}
    assert not missing


def test_the_map_of_the_house_names_every_folder():
    house = README.text[README.text.index("## The house") :]
    for package in ("genrec", "tokenizer", "trie"):
        folders = [path.parent.name for path in (ROOT / package).glob("*/__init__.py")]
        assert not [name for name in folders if f"  {name}/" not in house]


def test_the_map_of_the_house_names_files_of_the_trie_that_exist():
    lines = README.text[README.text.index("trie/               a set") : README.text.index("genrec/             every")]
    words = re.findall(r"[a-z_]+", " ".join(line.split("   ")[0] for line in lines.splitlines()[1:]))
    assert words and not [word for word in words if not (ROOT / "trie" / f"{word}.py").is_file()]
