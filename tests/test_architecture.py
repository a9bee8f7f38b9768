"""The house as design says: who may import whom, and which names are public."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("genrec", "tokenizer", "trie")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

# Inside genrec a module may import what stands at its own height or below.
HEIGHTS = {
    "errors": 0,
    "atomic_files": 1,
    "fingerprints": 1,
    "strict_loading": 1,
    "yaml_document": 1,
    "model_card": 1,
    "progress": 1,
    "stopping": 1,
    "manifests": 2,
    "artifacts": 2,
    "run_card": 3,
    "data": 3,
    "stored_ids": 3,
    "tokenization": 4,
    "additions": 4,
    "generator": 4,
    "recommendation": 5,
    "earlier_run": 5,
    "evaluation": 6,  # its stage shows the counting baselines
    "baselines": 6,  # those that are trained take the loop as it is
    "training": 6,
    "serving": 7,
    "config": 8,
    "stage_inputs": 9,
    "stages": 9,
    "pipeline": 10,
    "tables": 11,
    "list_commands": 11,
    "report": 11,
    "bulk": 11,
    "cli": 12,
    "__main__": 13,
    "__init__": 13,
}


@cache
def nodes(file):
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def imported_modules(file):
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield node.module


def part(module):
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("package", ["tokenizer", "trie"])
def test_tokenizer_and_trie_import_nothing_of_ours_but_themselves(package):
    for file in (ROOT / package).rglob("*.py"):
        foreign = {m for m in imported_modules(file) if m.split(".")[0] in set(PACKAGES) - {package}}
        assert not foreign, f"{file.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("file", sorted((ROOT / "genrec").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_inside_genrec_point_down(file):
    if file == ROOT / "genrec" / "__init__.py":
        return
    own = file.relative_to(ROOT / "genrec").parts[0].removesuffix(".py")
    for module in imported_modules(file):
        if module.split(".")[0] == "genrec" and module != "genrec":
            assert HEIGHTS[part(module)] <= HEIGHTS[own], f"{module} stands above {file.relative_to(ROOT)}"


def test_owners_of_configs_do_not_know_the_experiment():
    for file in FILES:
        if (
            file.name not in {"pipeline.py", "stages.py", "stage_inputs.py", "cli.py", "config.py"}
            and file != ROOT / "genrec" / "__init__.py"
        ):
            assert "genrec.config" not in set(imported_modules(file)), f"{file} imports genrec.config"


def test_no_file_is_a_drawer():
    drawers = {"utils", "util", "common", "helpers", "misc", "base", "core"}
    assert not [file for file in FILES if file.stem in drawers]


@pytest.mark.parametrize("word", ["pickle", "eval", "exec"])
def test_nothing_loaded_is_executed(word):
    for file in FILES:
        calls = [node.func for node in nodes(file) if isinstance(node, ast.Call)]
        called = {function.id for function in calls if isinstance(function, ast.Name)}
        assert word not in called and word not in set(imported_modules(file)), file


def test_public_names_are_the_documented_ones():
    import genrec
    import tokenizer
    import trie

    assert {"Recommender", "run_pipeline", "load_config", "ExperimentConfig", "UnknownItemError"} <= set(genrec.__all__)
    assert "add_items" in genrec.__all__
    assert {"RQVAE", "ResidualKMeans", "SemanticIDs"} <= set(tokenizer.__all__)
    assert {"PrefixTrie", "TrieLogitsProcessor", "DenyRows", "AllowRows"} <= set(trie.__all__)
    for module in (genrec, tokenizer, trie):
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_importing_genrec_and_asking_for_help_load_no_torch():
    import subprocess
    import sys

    code = "import sys, genrec, genrec.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
