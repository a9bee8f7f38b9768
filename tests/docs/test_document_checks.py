"""The checks of documents notice what is wrong in them."""

from pathlib import Path

import pytest
from document_checks import broken_links, check_block, check_command, check_config, missing_files
from documents import ROOT, Block, Document, commands_of, matches, run_block

from genrec.errors import ConfigError


def document(text, name="docs/any.md"):
    return Document(ROOT / name, text, ())


def shown(text, *marks):
    return Block("text", ("output", *marks), text, 1)


@pytest.mark.parametrize(
    "command",
    [
        "genrec run demo training.epochs=3 --out runs/x",
        "genrec bulk recommend RUN HISTORIES OUT -k 3",
        "torchrun --nproc_per_node 2 -m genrec train CONFIG",
        "accelerate launch --config_file configs/accelerate/many_gpus.yaml --num_processes 8 -m genrec train demo",
        "srun bash -c 'accelerate launch --machine_rank $SLURM_NODEID --num_processes 2 -m genrec train CONFIG'",
        "GENREC_DATA=... python -m benchmarks.quality configs/office.yaml training.epochs=3 --seeds 0,1",
        "make lint test",
        'pip install "genrec[serve,plots]"',
        """curl -s localhost:8000/v1/recommend -d '{"history": ["a"], "k": 3}'""",
        "curl localhost:8000/v1/items/any",
        "genrec explain RUN --history a,b --item c   # with a comment",
        "ls -1 anything --at-all",
    ],
)
def test_commands_that_exist_pass(command):
    check_command(command)


@pytest.mark.parametrize(
    "command",
    [
        "genrec rum demo",
        "genrec run demo --outt runs/x",
        "genrec run demo training.epoch=3",
        "genrec run demo training.epochs=none",
        "genrec bulk recommend RUN HISTORIES",
        "genrec explain RUN --history a,b",
        "genrec sample RUN --history a --seed one",
        "torchrun --nproc_per_nodes 2 -m genrec train CONFIG",
        "torchrun --nproc_per_node 2 -m genrec trains CONFIG",
        "accelerate launch --config_file configs/accelerate/none.yaml -m genrec train demo",
        "accelerate launch -m genrec train demo --fast",
        "srun bash -c 'accelerate launch -m genrec learn CONFIG'",
        "python -m benchmarks.none",
        "python -m benchmarks.quality configs/office.yaml --seed 0",
        "python -m benchmarks.quality configs/office.yaml training.epoch=3",
        "make everything",
        'pip install "genrec[all]"',
        """curl -s localhost:8000/v1/recommend -d '{"histories": ["a"]}'""",
        """curl -s localhost:8000/v2/recommend -d '{"history": ["a"]}'""",
        "curl -X DELETE localhost:8000/v1/model",
    ],
)
def test_commands_that_do_not_exist_are_noticed(command):
    with pytest.raises(Exception, match=r"."):
        check_command(command)


def test_overrides_stand_over_a_config_of_the_document():
    configs = {"own.yaml": "data: {format: table, interactions: a.csv}\n"}
    check_command("genrec run own.yaml data.items=b.csv", configs)
    with pytest.raises(ConfigError):
        check_command("genrec run own.yaml data.item=b.csv", configs)


def test_a_fragment_of_a_config_stands_over_the_demo():
    check_config({"training": {"loss": {"levels": "mean"}}}, source="any")
    with pytest.raises(ConfigError):
        check_config({"training": {"loss": {"level": "mean"}}}, source="any")


def test_a_value_that_is_no_default_is_noticed():
    with pytest.raises(AssertionError, match=r"no defaults"):
        check_block(Block("yaml", ("defaults",), "training: {epochs: 3}\n", 1), document(""))


@pytest.mark.parametrize(("language", "text"), [("python", "for x in"), ("json", "{"), ("yaml", "sead: 1\n")])
def test_code_that_cannot_be_read_is_noticed(language, text):
    with pytest.raises((SyntaxError, ValueError, ConfigError)):
        check_block(Block(language, (), text, 1), document(""))


def test_links_and_anchors_that_lead_nowhere_are_noticed():
    links = ("README.md", "README.md#documents", "https://x", "none.md", "README.md#none", "../configs/none.yaml")
    text = " ".join(f"[a]({link})" for link in links)
    assert list(broken_links(document(text))) == ["none.md", "README.md#none", "../configs/none.yaml"]


def test_anchors_are_made_as_the_forge_makes_them():
    assert document("# Any title, here\n\n## Data: `split`\n").anchors == {"any-title-here", "data-split"}


def test_links_in_code_are_none():
    assert not list(broken_links(document("`x[0](none.md)`\n```python\ny[0](none.md)\n```\n")))


def test_files_that_are_not_there_are_noticed():
    assert list(missing_files(document("`configs/demo.yaml` `configs/*.yaml` `configs/none.yaml`"))) == [
        "configs/none.yaml"
    ]


@pytest.mark.parametrize(
    ("block", "printed", "same"),
    [
        (shown("a 1\n"), "a 1\n", True),
        (shown("a 1\n"), "a 2\n", False),
        (shown("a 1\n", "figures"), "a  2.5\n", True),
        (shown("a 1\n", "figures"), "b 1\n", False),
        (shown("a 1\n", "figures"), "a 1\nb\n", False),
        (shown("...\nb\n"), "x\ny\nb\n", True),
        (shown("...\nb\n", "shape"), "x\n1 y\nb\n", True),
        (shown("a\n...\nb\n"), "a\nb\nc\n", False),
        (shown("1 I7 -0.5 red hat\n", "shape"), "2 I9 -0.7 small blue coat\n", True),
        (shown("1 I7 -0.5 red hat\n", "shape"), "1 I7 red hat\n", False),
    ],
)
def test_shown_output_is_compared_in_the_way_of_its_marks(block, printed, same):
    assert matches(block, printed) is same


def test_a_backslash_joins_lines_and_comments_are_left_out():
    assert commands_of("# why\ngenrec a \\\n   --b\n\nls\n") == ["genrec a --b", "ls"]


def test_blocks_run_in_their_folder_and_failures_are_told(tmp_path: Path):
    (tmp_path / "here.txt").write_text("it\n")
    assert run_block(Block("bash", ("test",), "cat here.txt\ngenrec config show demo seed=7 # why\n", 1), tmp_path)[
        0
    ].startswith("it\nseed: 7")
    program = "import sys\nprint(open('here.txt').read(), end='')\nprint('said', file=sys.stderr)\n"
    assert run_block(Block("python", ("test",), program, 1), tmp_path) == ("it\n", "said\n")
    for language, text in (("python", "raise ValueError('why')"), ("bash", "genrec run none"), ("bash", "false")):
        with pytest.raises(AssertionError, match=r"why|none|false"):
            run_block(Block(language, ("test",), text, 1), tmp_path)
