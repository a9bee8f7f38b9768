"""Commands in the README are tests: blocks marked `test` run in order in an empty folder; all the others are parsed."""

import re

import pytest
from documents import ROOT, SMALL_RUN, Document, run_and_compare

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
    run_and_compare(README, block, folder)


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


def test_the_map_of_the_house_names_files_that_exist():
    house = README.text[README.text.index("trie/               a set") : README.text.index("benchmarks/         long")]
    owner, missing = "trie", []
    for line in house.splitlines()[1:]:
        if re.match(r"(trie|genrec)/", line):
            owner = line.split("/")[0]
        elif re.match(r"  [a-z]", line) and owner == "trie":
            words = re.findall(r"[a-z_]+", line.split("   ")[0])
            missing += [word for word in words if not (ROOT / owner / f"{word}.py").is_file()]
    assert not missing
