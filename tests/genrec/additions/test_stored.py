"""Additions appear whole or not at all, and only beside the IDs that they were added to."""

import json
import shutil

import pytest

from genrec import Recommender, add_items
from genrec.additions import stored
from genrec.errors import ArtifactError


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("moment", ["_write_parts", "atomic_json"])
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
    read_manifest, overtaken = stored._manifest, []

    def slow(*arguments):
        manifest = read_manifest(*arguments)
        if not overtaken:
            overtaken.append(True)
            monkeypatch.setattr(stored, "_manifest", read_manifest)
            add_items(run, some_late_items(2, 5))  # removes the folder that the manifest names
        return manifest

    monkeypatch.setattr(stored, "_manifest", slow)
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
