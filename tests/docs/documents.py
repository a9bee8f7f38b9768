"""Documents of the project: their blocks, their links, and how the blocks that are marked `test` run.

A block opens with its language and, after it, marks:

    ```bash test            its commands run, one a line, in the document's folder
    ```python test          it runs there as a program
    ```yaml test own.yaml   it is written there under that name
    ```yaml defaults        every value in it is the default
    ```text output          what the block before it printed on stdout; `progress` instead of `output`: on stderr

Shown output is compared line by line. A line `...` stands for any lines. `figures` behind the mark: numbers may be
others on another machine. `shape`: words, too; what counts are the lines and how many words and numbers they have.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from forked import as_command, as_program, forked

ROOT = Path(__file__).parent.parent.parent
SMALL_RUN = (
    "genrec run demo --out runs/small data.world.num_items=200 data.world.num_users=400 tokenizer.codebook_size=8 "
    "training.epochs=2"
)
"""What makes runs/small, in every document that speaks of it."""
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?")
_IN_SHELL = set("|&;<>(){}$`*?[]'\"\\#!~")


class Block(NamedTuple):
    """What stands between two fences."""

    language: str
    marks: tuple[str, ...]
    text: str
    line: int
    """Of its first line, from 1 on."""

    @property
    def runs(self) -> bool:
        return "test" in self.marks and self.language in ("bash", "python")

    @property
    def file(self) -> str | None:
        """The name under which it is to be written."""
        return self.marks[1] if self.language == "yaml" and self.marks[:1] == ("test",) else None

    @property
    def stream(self) -> str | None:
        """Which stream of the block before it shows."""
        return self.marks[0] if self.language == "text" and self.marks[:1] in (("output",), ("progress",)) else None


class Printed(NamedTuple):
    """What a block wrote."""

    output: str
    progress: str


class Document(NamedTuple):
    """A file in Markdown."""

    path: Path
    text: str
    blocks: tuple[Block, ...]

    @classmethod
    def read(cls, path: Path) -> "Document":
        text = path.read_text(encoding="utf-8")
        return cls(path, text, tuple(_blocks(text)))

    @property
    def prose(self) -> str:
        """The text without its blocks and without code in a line."""
        return re.sub(r"`[^`\n]*`", "``", _FENCE.sub("", self.text))

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """Of its headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", self.text), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @property
    def lead(self) -> str:
        """The first paragraph after the title."""
        return self.text.split("\n\n")[1]

    def shown_after(self, block: Block) -> list[Block]:
        """The blocks that show what this one printed."""
        found, rest = [], self.blocks[self.blocks.index(block) + 1 :]
        for follower in rest:
            if follower.stream is None:
                break
            found.append(follower)
        return found

    @property
    def run_blocks(self) -> list[Block]:
        return [block for block in self.blocks if block.runs]

    @property
    def other_blocks(self) -> list[Block]:
        """Those that are checked without being run: neither marked nor what a marked one printed."""
        return [block for block in self.blocks if not block.runs and block.stream is None]

    def write_files(self, folder: Path) -> None:
        for block in self.blocks:
            if block.file:
                (folder / block.file).write_text(block.text, encoding="utf-8")


def documents() -> list[Path]:
    """Every one that a reader is led to."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


def _blocks(text: str) -> list[Block]:
    found = []
    for match in _FENCE.finditer(text):
        language, *marks = match[1].split() or [""]
        found.append(Block(language, tuple(marks), match[2], text.count("\n", 0, match.start(2)) + 1))
    return found


def commands_of(text: str) -> list[str]:
    """Logical lines: a backslash at the end joins the next one; comments and empty lines are left out."""
    joined = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [line.strip() for line in joined if line.strip() and not line.lstrip().startswith("#")]


def run_and_compare(document: Document, block: Block, folder: Path) -> Printed:
    """What a block prints; `AssertionError` if it fails, or if the blocks behind it show something else."""
    printed = run_block(block, folder)
    for shown in document.shown_after(block):
        got = getattr(printed, str(shown.stream))
        assert matches(shown, got), f"{document.path.name}:{shown.line} shows something else than was printed:\n{got}"
    return printed


def run_block(block: Block, folder: Path) -> Printed:
    """Run it; `AssertionError` with what it said if it fails."""
    if block.language == "python":
        return _forked(as_program, block.text, folder)
    parts = [_run_command(command, folder) for command in commands_of(block.text)]
    return Printed(*("".join(part) for part in zip(*parts, strict=True)))


def _run_command(command: str, folder: Path) -> Printed:
    """A line of ours alone runs in a process that has imported everything; all else in bash."""
    words = shlex.split(command, comments=True)
    is_plain = not _IN_SHELL & set(re.sub(r"'[^']*'|\s#.*", "", command))
    if words[:1] == ["genrec"] and is_plain:
        return _forked(as_command, words, folder)
    return _in_bash(command, folder)


def _forked(work: Callable[[Any], None], argument: object, folder: Path) -> Printed:
    done = forked(work, argument, folder=folder, environment=_environment(folder), timeout=280)
    assert done.returncode == 0, f"{argument}\n{done.stderr[-3000:]}"
    return Printed(done.stdout, done.stderr)


def _in_bash(command: str, folder: Path) -> Printed:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ | _environment(folder),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    return Printed(done.stdout, done.stderr)


def _environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"GENREC_DATA": str(folder), "OMP_NUM_THREADS": "1", "PATH": path, "HF_HUB_OFFLINE": "1"}


def matches(shown: Block, printed: str) -> bool:
    """Whether a block shows what was printed, in the way of its marks."""
    form = next((form for mark, form in _FORMS.items() if mark in shown.marks), str.rstrip)
    wanted = [form(line) for line in shown.text.rstrip().splitlines()]
    got = [form(line) for line in printed.rstrip().splitlines()]
    gap = form("...")
    pattern = "".join(r"(?s:.*?)" if line == gap else re.escape(f"{line}\n") for line in wanted)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in got)) is not None


def _without_figures(line: str) -> str:
    return " ".join(_NUMBER.sub("#", line).split())


def _without_words(line: str) -> str:
    """Place, id, number, and that there are words."""
    parts = ["#" if _NUMBER.fullmatch(word) else "w" for word in line.split()]
    return "..." if line.strip() == "..." else re.sub(r"w( w)+", "w", " ".join(parts))


_FORMS = {"figures": _without_figures, "shape": _without_words}
