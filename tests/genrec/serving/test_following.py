"""Servers that look whether another process has changed their run."""

import shutil
import time

import pytest

from genrec import Recommender, add_items
from genrec.artifacts import RunFolder
from genrec.serving.live_catalogue import LiveCatalogue

KEY = {"X-API-Key": "open sesame"}


@pytest.fixture
def live(own_run):
    return LiveCatalogue(RunFolder.open(own_run), device="cpu", max_batch=4)


def write_items(folder, *names):
    path = folder / "new.csv"
    path.write_text("item_id,title\n" + "".join(f"{name},Reading lamp of brass\n" for name in names))
    return path


def test_what_has_not_changed_is_not_read_again(live):
    recommender = live.engine.recommender
    assert live.follow() is False
    assert live.engine.recommender is recommender


def test_items_that_another_process_adds_are_read(live, own_run, tmp_path):
    add_items(own_run, write_items(tmp_path, "lamp"))
    assert live.follow() is True
    assert "lamp" in live.engine.recommender.catalogue.row_of and live.engine.recommender.version == 1
    assert live.follow() is False


def test_a_newer_training_is_read_when_it_is_done(live, own_run, train_more):
    before = live.engine.recommender
    record = own_run / "stages" / "train.json"
    kept = record.read_bytes()
    record.unlink()  # as while it is made
    assert live.follow() is False
    record.write_bytes(kept)
    assert live.follow() is False and live.engine.recommender is before
    train_more(own_run)
    assert live.follow() is True
    history = [["I00003", "I00007"]]
    assert live.engine.recommender.recommend(history) != before.recommend(history)
    made = Recommender.from_pretrained(own_run).recommend(history)[0]
    assert [entry.item_id for entry in live.engine.recommender.recommend(history)[0]] == [e.item_id for e in made]


def test_a_run_that_is_not_whole_is_refused_once_and_read_when_it_is(live, own_run, tmp_path, caplog):
    add_items(own_run, write_items(tmp_path, "lamp"))
    weights = own_run / "generator" / "model.safetensors"
    shutil.move(weights, tmp_path / "kept")
    with caplog.at_level("WARNING"):
        assert live.follow() is False and live.follow() is False
    assert caplog.text.count("goes on") == 1 and live.engine.recommender.version == 0
    shutil.move(tmp_path / "kept", weights)
    add_items(own_run, write_items(tmp_path, "lamp 2"))
    assert live.follow() is True
    assert {"lamp", "lamp 2"} <= set(live.engine.recommender.catalogue.row_of)


def test_servers_of_one_run_follow_one_another(serving, own_run, monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", KEY["X-API-Key"])
    following = "serving.follow_seconds=0.05"
    with serving(following, run=own_run) as one, serving(following, run=own_run) as other:
        lamp = {"item_id": "lamp", "fields": {"title": "Brass reading lamp"}}
        assert one.call("POST", "/v1/items", {"items": [lamp]}, KEY).status == 200
        assert comes_true(lambda: other.get("/v1/items/lamp", **KEY).status == 200)
        assert other.delete("/v1/items/I00003", **KEY).status == 200
        assert comes_true(lambda: not one.get("/v1/items/I00003", **KEY).body["in_stock"])
        assert 'kind="follow",result="done"' in one.get("/metrics").body.decode()


def comes_true(asked):
    for _ in range(600):
        if asked():
            return True
        time.sleep(0.05)
    return False
