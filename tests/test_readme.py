"""Commands in the README are tests: blocks marked `test` run in order in an empty folder; all the others are parsed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from genrec.config import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([^\n]*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
MARKED = [(info.split(), text) for info, text in BLOCKS if "test" in info.split()]


def run(script, folder, *, shell):
    environment = {**os.environ, "GENREC_DATA": str(folder), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script] if shell else [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def write_own_data(folder):
    """The CSVs that the how-to speaks of."""
    clicks = ["visitor,article,clicked_at"]
    for user in range(40):
        clicks += [f"v{user},a{(user + 2 * step) % 20},2024-01-{step + 1:02d}" for step in range(6)]
    (folder / "clicks.csv").write_text("\n".join(clicks) + "\n")
    titles = ["article,title"] + [f"a{row},{('red', 'blue', 'green')[row % 3]} story number {row}" for row in range(20)]
    (folder / "articles.csv").write_text("\n".join(titles) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("readme")
    write_own_data(path)
    for info, text in MARKED:
        if info[0] == "yaml":
            (path / info[2]).write_text(text)
    return path


def test_the_readme_has_blocks_to_run():
    assert {info[0] for info, _ in MARKED} == {"bash", "python", "yaml"}


@pytest.mark.parametrize(("info", "text"), [(i, t) for i, t in MARKED if i[0] == "bash"], ids=lambda v: str(v)[:20])
def test_marked_commands_run(info, text, folder):
    printed = run(text, folder, shell=True)
    if info[-1] == "own":
        assert re.search(r"a\d+ .*(red|blue|green) story", printed)


@pytest.mark.parametrize("text", [t for i, t in MARKED if i[0] == "python"], ids=lambda v: v.split("\n")[0][:20])
def test_marked_python_runs(text, folder):
    assert run(text, folder, shell=False).strip()


def test_other_commands_name_what_exists():
    from typer.testing import CliRunner

    from genrec.cli import app

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for info, text in BLOCKS:
        if info.strip():
            continue
        for line in text.splitlines():
            words = (
                shlex.split(line, comments=True)
                if line.startswith(("make ", "genrec ", "torchrun ", "accelerate "))
                else []
            )
            if words[:1] == ["make"]:
                assert set(words[1:]) <= targets, line
            elif "genrec" in words:
                command = words[words.index("genrec") + 1]
                assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, line


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_loads(path):
    assert load_config(path).training.epochs >= 1


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_accelerate_knows_every_launch_profile(path):
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes >= 1
    assert path.name in README
