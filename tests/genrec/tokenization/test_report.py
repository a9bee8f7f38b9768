"""What the stage tokenize leaves for people to read."""

import json
import sys

import numpy as np
import pytest

from genrec import run_pipeline
from genrec.data.catalogue import Catalogue
from genrec.tokenization.report import as_json, health_of, names_of, write_figures
from genrec.tokenization.semantic_ids import Tokenized
from tokenizer import SemanticIDs

SMALL = ("data.world.num_items=150", "data.world.num_users=60", "tokenizer.codebook_size=8")


class Listener:
    """Remembers what is said."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    def bar(self, name):
        from genrec.progress import Silence

        return Silence().bar(name)


def tokenize(folder, *overrides):
    said = Listener()
    path = run_pipeline("demo", overrides=[*SMALL, *overrides], out=folder, until="tokenize", progress=said).path
    return path, "\n".join(said.lines)


def test_a_run_leaves_figures_names_and_pictures(tmp_path):
    run, said = tokenize(tmp_path / "run")
    about = json.loads((run / "semantic_ids.json").read_text())
    assert about["made_by"]["kind"] == "opq" and about["made_by"]["collisions"] == "nearest_free"
    assert about["num_items"] == 150 and about["level_sizes"] == [8, 8, 8]
    assert 0 < about["category_agreement"] <= 1
    names = json.loads((run / "code_names.json").read_text())
    codes = SemanticIDs.load(run / "semantic_ids.npz").codes
    assert set(names) == {f"{row[0]}" for row in codes} | {f"{row[0]}.{row[1]}" for row in codes}
    assert "perplexity" in said and "agreement with categories" in said
    pytest.importorskip("matplotlib")
    for name in ("codebook.png", "code-map.png"):
        assert (run / "report" / name).read_bytes().startswith(b"\x89PNG")
        assert name in said


def test_without_matplotlib_the_run_goes_on_and_says_so(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    run, said = tokenize(tmp_path / "run")
    assert "matplotlib is not installed" in said
    assert not (run / "report").exists() and (run / "code_names.json").exists()


def test_the_order_of_appearance_asks_for_no_embeddings(tmp_path):
    run, _ = tokenize(tmp_path / "run", "tokenizer.kind=sequential")
    assert not (run / "embeddings.npy").exists()
    assert (run / "semantic_ids.npz").exists()


@pytest.fixture
def tokenized():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 0]])
    item_ids = np.array(["a", "b", "c", "d"])
    return Tokenized(SemanticIDs.from_codes(codes, level_sizes=(2, 2), item_ids=item_ids), codes, (2, 2))


def catalogue_of(**fields):
    return Catalogue(np.array(["a", "b", "c", "d"]), fields)


def test_names_are_kept_by_prefix(tokenized):
    names = names_of(tokenized, catalogue_of(title=["red lamp", "blue lamp", "oak desk", "oak desk"]))
    assert set(names) == {(0,), (1,), (0, 0), (0, 1), (1, 0)}
    assert "lamp" in names[0,] and "desk" in names[1,]
    assert as_json({(1, 0): "oak desk"}) == {"1.0": "oak desk"}


@pytest.mark.parametrize("fields", [{}, {"title": ["", "", "", "7"]}])
def test_items_without_words_have_no_names(tokenized, fields):
    assert names_of(tokenized, catalogue_of(**fields)) == {}


def test_codes_from_a_file_have_health_without_reconstruction(tokenized):
    checked = health_of(tokenized, catalogue_of())
    assert checked.relative_error is None and checked.category_agreement is None
    assert checked.unique_share == 0.5 and checked.extra_codes == 2


def test_codes_from_a_file_have_no_map(tokenized, tmp_path):
    pytest.importorskip("matplotlib")
    assert [path.name for path in write_figures(tokenized, {}, tmp_path)] == ["codebook.png"]


def test_codes_that_are_not_meant_to_be_even_raise_no_alarm(tmp_path):
    run, said = tokenize(tmp_path / "run", "tokenizer.kind=collaborative", "tokenizer.codebook_size=64")
    about = json.loads((run / "semantic_ids.json").read_text())
    assert about["usage"][2] < 0.5 and about["alarm"] is None and about["notes"] == [] and "ALARM" not in said
