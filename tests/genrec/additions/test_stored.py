"""Additions appear whole or not at all, and only beside the IDs that they were added to."""

import json
import shutil

import numpy as np
import pytest

from genrec import Recommender, add_items
from genrec.additions import stored
from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError
from tokenizer import SemanticIDs


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("moment", ["atomic_folder", "atomic_json"])
def test_a_call_that_breaks_off_leaves_the_old_state(run, monkeypatch, moment, earlier, some_late_items, contents):
    if earlier:
        add_items(run, some_late_items(0, 2))
    before = contents(run, without=(".lock",))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stored, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            add_items(run, some_late_items(2, 15))
    assert contents(run, without=(".lock",)) == before
    assert len(Recommender.from_pretrained(run).catalogue) == (137 if earlier else 135)
    add_items(run, some_late_items(2, 15))
    assert len(Recommender.from_pretrained(run).catalogue) == (150 if earlier else 148)


def test_a_folder_that_the_manifest_does_not_name_counts_for_nothing(run, some_late_items):
    """What a kill between the two writes leaves."""
    add_items(run, some_late_items(0, 2))
    shutil.copytree(run / "additions" / "000001", run / "additions" / "000002")
    assert len(Recommender.from_pretrained(run).catalogue) == 137
    add_items(run, some_late_items(2, 4))
    assert [path.name for path in sorted((run / "additions").iterdir())] == ["000003", "manifest.json"]


def test_a_reader_that_is_overtaken_reads_the_newer_additions(run, monkeypatch, some_late_items):
    add_items(run, some_late_items(0, 2))
    read_manifest, overtaken = stored.read_manifest, []

    def slow(*arguments):
        manifest = read_manifest(*arguments)
        if not overtaken:
            overtaken.append(True)
            monkeypatch.setattr(stored, "read_manifest", read_manifest)
            add_items(run, some_late_items(2, 5))  # removes the folder that the manifest names
        return manifest

    monkeypatch.setattr(stored, "read_manifest", slow)
    assert len(Recommender.from_pretrained(run).catalogue) == 140
    assert overtaken


def test_additions_to_other_ids_are_refused(shop, run):
    add_items(run, shop / "late.jsonl")
    path = run / "additions" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_fingerprint": "of other IDs"}))
    with pytest.raises(ArtifactError, match=r"added to other semantic IDs .* delete .*additions and add"):
        Recommender.from_pretrained(run)


def test_additions_are_removed_when_the_codes_change_and_kept_when_they_do_not(shop, run, make_run):
    add_items(run, shop / "late.jsonl")
    (run / "stages" / "tokenize.json").unlink()
    make_run(run, until="tokenize")
    assert (run / "additions" / "manifest.json").exists()
    make_run(run, "tokenizer.codebook_size=7", until="tokenize")
    assert not (run / "additions").exists()


def test_damaged_additions_are_refused(shop, run):
    add_items(run, shop / "late.jsonl")
    (run / "additions" / "000001" / "items.parquet").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"items.parquet is missing or not as it was written"):
        Recommender.from_pretrained(run)


def test_parts_are_few_and_hold_all_that_was_added(run, late, some_late_items, table_of):
    """Fifteen calls with one item each leave as many parts as fifteen has ones in binary: 8 + 4 + 2 + 1."""
    for place in range(15):
        add_items(run, some_late_items(place, place + 1))
    manifest = json.loads((run / "additions" / "manifest.json").read_text())
    assert [part["items"] for part in manifest["parts"]] == [8, 4, 2, 1]
    folders = {path.name for path in (run / "additions").iterdir() if path.is_dir()}
    assert folders == {part["folder"] for part in manifest["parts"]}
    assert table_of(run).item_ids[135:].tolist() == late
    found = Recommender.from_pretrained(run)
    assert found.catalogue.item_ids[135:].tolist() == late
    assert found.generator.vocabulary.added_codes.tolist() == table_of(run).codes[135:].tolist()


def test_items_are_taken_out_and_put_back_without_another_part(run, some_late_items, late):
    add_items(run, some_late_items(0, 2))
    base = SemanticIDs.load(run / "semantic_ids.npz")
    gone = stored.write_changes(RunFolder(run), stored.read_changes(RunFolder(run), base).without(["I00007", late[0]]))
    recommender = Recommender.from_pretrained(run)
    assert recommender.version == 0 and len(recommender.catalogue) == 137
    out = {recommender.catalogue.row_of[item] for item in ("I00007", late[0])}
    assert set(np.flatnonzero(~recommender.stocked).tolist()) == out
    assert Recommender.from_pretrained(run, with_additions=False).stocked.all()
    stored.write_changes(RunFolder(run), gone.having(["I00007", late[0]]))
    assert Recommender.from_pretrained(run).stocked.all()
    assert [path.name for path in sorted((run / "additions").iterdir())] == ["000001", "manifest.json"]


def test_what_is_taken_out_does_not_count_as_other_items(run, some_late_items):
    folder, base = RunFolder(run), SemanticIDs.load(run / "semantic_ids.npz")
    assert stored.fingerprint_of_items(folder) is None
    add_items(run, some_late_items(0, 2))
    before = stored.fingerprint_of_items(folder)
    stored.write_changes(folder, stored.read_changes(folder, base).without(["I00007"]))
    assert stored.fingerprint_of_items(folder) == before
    add_items(run, some_late_items(2, 3))
    assert stored.fingerprint_of_items(folder) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"removed": ["I00007", "nobody"]}, "takes out what cannot be: .*'nobody'"),
        ({"parts": [{"folder": "000001"}]}, "not as it was written"),
        ({"parts": 3}, "not as it was written"),
        ({"format": 1}, "not a manifest of format 2"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(run, some_late_items, change, message):
    add_items(run, some_late_items(0, 2))
    path = run / "additions" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match=message):
        Recommender.from_pretrained(run)
