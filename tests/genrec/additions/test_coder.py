"""Items that a caller gives get the codes that `genrec add-items` would give them."""

import json

import numpy as np
import pytest

from genrec import add_items
from genrec.additions.coder import Coder, GivenItem
from genrec.additions.finished_run import FinishedRun
from genrec.additions.stored import read_changes
from genrec.artifacts import RunFolder
from genrec.errors import DataError
from tokenizer import SemanticIDs


@pytest.fixture
def given(shop):
    """The late items as a caller gives them."""
    lines = [json.loads(line) for line in (shop / "late.jsonl").read_text().splitlines()]
    return [GivenItem(line.pop("item_id"), {name: str(text) for name, text in line.items()}) for line in lines]


def coder_of(run):
    finished = FinishedRun.read(RunFolder(run))
    return Coder(finished), read_changes(RunFolder(run), finished.semantic_ids)


@pytest.mark.parametrize("kind", ["residual_kmeans", "sequential", "random", "collaborative"])
def test_codes_are_those_of_the_command(shop, tmp_path, given, kind, make_run, table_of):
    run = make_run(tmp_path / "run", f"tokenizer.kind={kind}", until="index")
    coder, changes = coder_of(run)
    changes = coder.added(given[9:], coder.added(given[:9], changes))
    for first, last in ((0, 9), (9, 15)):
        path = tmp_path / f"late-{first}.jsonl"
        path.write_text("".join((shop / "late.jsonl").read_text().splitlines(keepends=True)[first:last]))
        add_items(run, path)
    table = table_of(run)
    assert changes.semantic_ids.item_ids.tolist() == table.item_ids.tolist()
    assert changes.semantic_ids.codes.tolist() == table.codes.tolist()


def test_runs_with_ready_made_codes_take_given_ones(finished, tmp_path, make_run):
    base = SemanticIDs.load(finished / "semantic_ids.npz")
    codes = dict(zip(base.item_ids.tolist(), base.codes[:, :3].tolist(), strict=True))
    (tmp_path / "codes.json").write_text(json.dumps(codes))
    coder, changes = coder_of(make_run(tmp_path / "run", f"tokenizer.codes={tmp_path / 'codes.json'}", until="index"))
    grown = coder.added([GivenItem("new", codes=[1, 2, 3])], changes)
    assert grown.semantic_ids.codes[-1].tolist()[:2] == [1, 2] and grown.additions.embeddings is None
    for item, message in (
        (GivenItem("new", {"title": "x"}), "needs codes with item 'new'"),
        (GivenItem("new", codes=[1, 2]), "must be 3 whole numbers"),
        (GivenItem("new", codes=[1, 2, 2**40]), "must be 3 whole numbers"),
        (GivenItem("new", codes=[1, 2, 99]), "do not fit"),
        (GivenItem("new", codes=[1, 2, 3], vector=[0.5]), "takes no vector"),
    ):
        with pytest.raises(DataError, match=message):
            coder.added([item], changes)


def test_runs_embedded_elsewhere_take_given_vectors(shop, tmp_path, given, make_run):
    known = [json.loads(line)["item_id"] for line in (shop / "items.jsonl").read_text().splitlines()]
    vectors = np.random.default_rng(0).normal(size=(135, 8)).astype(np.float32)
    np.savez(tmp_path / "known.npz", item_ids=np.array(known), vectors=vectors)
    coder, changes = coder_of(make_run(tmp_path / "run", f"embeddings.file={tmp_path / 'known.npz'}", until="index"))
    grown = coder.added([given[0]._replace(vector=vectors[3].tolist())], changes)
    assert np.array_equal(grown.additions.embeddings, vectors[3:4])
    for vector, message in (
        (None, "needs vector with item"),
        ([0.5] * 7, "must have the width 8"),
        ([1e300] + [0.5] * 7, "not finite in 32 bits"),
    ):
        with pytest.raises(DataError, match=message):
            coder.added([given[0]._replace(vector=vector)], changes)


def test_what_texts_do_not_say_is_refused(run):
    coder, changes = coder_of(run)
    for item, message in (
        (GivenItem("new"), "item 'new' has no text in any of"),
        (GivenItem("new", {"title": "  "}), "item 'new' has no text in any of"),
        (GivenItem("new", {"titel": "x"}), "no field 'titel'; did you mean 'title'"),
        (GivenItem("new", {"title": "x"}, codes=[1, 2, 3]), "takes no codes"),
    ):
        with pytest.raises(DataError, match=message):
            coder.added([item], changes)
