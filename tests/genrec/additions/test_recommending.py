"""A run with added items reads, ranks and filters them; its figures stay those of its own items."""

import json

import pytest
from forked import genrec

from genrec import Recommender, add_items
from genrec.errors import UnknownItemError


def ids(found):
    return [entry.item_id for entry in found]


def test_a_recommender_reads_ranks_and_filters_new_items(shop, run, late):
    before = Recommender.from_pretrained(run)
    with pytest.raises(UnknownItemError, match="cannot be read"):
        before.recommend([[late[0]]])
    add_items(run, shop / "late.jsonl")
    recommender = Recommender.from_pretrained(run)
    assert len(recommender.catalogue) == 150
    for rank in ("codes", "blend"):
        found = recommender.recommend([["I00001", late[0]]], k=20, allow=late, rank=rank)[0]
        assert set(ids(found)) == set(late[1:]) and found.ignored == ()
        everything = recommender.recommend([["I00001"]], k=150, rank=rank, exclude_history=False)[0]
        assert set(late) <= set(ids(everything)) and len(everything) == 150
        denied = recommender.recommend([[late[0]]], k=150, deny=late, rank=rank)[0]
        assert not set(late) & set(ids(denied)) and len(denied) == 135


def test_old_items_are_ranked_as_before(shop, run, late):
    before = Recommender.from_pretrained(run)
    add_items(run, shop / "late.jsonl")
    after, alone = Recommender.from_pretrained(run), Recommender.from_pretrained(run, with_additions=False)
    for rank in ("codes", "blend"):
        old = ids(before.recommend([["I00001", "I00007"]], k=150, beam_size=150, rank=rank)[0])
        assert ids(alone.recommend([["I00001", "I00007"]], k=150, beam_size=150, rank=rank)[0]) == old
        now = ids(after.recommend([["I00001", "I00007"]], k=150, beam_size=150, rank=rank)[0])
        assert [item for item in now if item not in late] == old


def test_evaluating_again_keeps_the_additions_and_leaves_them_out_of_the_figures(shop, run, make_run):
    add_items(run, shop / "late.jsonl")
    make_run(run, "evaluation.beam_size=60")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry.get("stage", "items added") for entry in log[-2:]] == ["items added", "evaluate"]
    assert json.loads((run / "metrics.json").read_text())["items"] == 135
    assert len(Recommender.from_pretrained(run).catalogue) == 150


def test_the_command_line_adds_reports_drift_and_recommends(shop, run, tmp_path, late):
    done = genrec("add-items", run, "--items", shop / "late.jsonl", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["added"], printed["items"], printed["sharing_ids"]) == (15, 150, 0)
    assert printed["drift"]["num_new_items"] == 15 and printed["drift"]["num_old_items"] == 135
    assert "15 items added" in done.stderr and "median ratio" in done.stderr
    (tmp_path / "allow.txt").write_text("\n".join(late))
    found = genrec("recommend", run, "--history", f"I00001,{late[0]}", "--allow", tmp_path / "allow.txt", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) == 10 and found.stderr == ""
    again = genrec("add-items", run, "--items", shop / "late.jsonl", cwd=tmp_path)
    assert again.returncode == 2 and "already" in again.stderr and again.stdout == ""
