"""A catalogue that changes while it is served."""

import json
import shutil
import threading
import time

import numpy as np
import pytest

from genrec import Recommender, add_items
from genrec.additions import stored
from genrec.artifacts import RunFolder
from tokenizer import SemanticIDs

KEY = {"X-API-Key": "open sesame"}
LAMP = {"item_id": "lamp", "fields": {"title": "Brass reading lamp", "categories": "Attic > Lamps", "price": "40"}}


def item(name, **fields):
    return {"item_id": name, "fields": {"title": f"Reading lamp of brass, kind {name}"} | fields}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", KEY["X-API-Key"])


@pytest.fixture
def client(serving, own_run):
    with serving("serving.deadline_ms=20000", run=own_run) as client:
        yield client


def insert(client, *items):
    return client.call("POST", "/v1/items", {"items": list(items)}, KEY)


def remove(client, item_id):
    return client.delete(f"/v1/items/{item_id}", **KEY)


def reload(client):
    return client.call("POST", "/v1/reload", None, KEY)


def listed(client, history, **filters):
    answer = client.call("POST", "/v1/recommend", {"history": history, "k": 200} | filters, KEY)
    assert answer.status == 200, answer.body
    return [entry["item_id"] for entry in answer.body["items"]]


def test_an_inserted_item_is_shown_read_and_recommended(client):
    assert client.call("GET", "/v1/items/lamp", None, KEY).status == 404
    answer = insert(client, LAMP)
    assert (answer.status, answer.body) == (200, {"added": ["lamp"], "put_back": [], "version": 1, "items": 201})
    shown = client.call("GET", "/v1/items/lamp", None, KEY).body
    assert shown["title"] == "Brass reading lamp" and shown["in_stock"] and shown["version"] == 1
    assert shown["fields"]["price"] == "40" and shown["fields"]["brand"] == ""
    assert listed(client, ["I00003"], allow=["lamp"]) == ["lamp"]
    assert listed(client, ["I00003"], where={"categories": "Attic"}) == ["lamp"]
    assert "lamp" not in listed(client, ["lamp"])
    similar = client.call("POST", "/v1/similar", {"item_id": "lamp", "k": 5}, KEY)
    assert len(similar.body["items"]) == 5 and similar.body["version"] == 1
    assert client.call("GET", "/v1/model", None, KEY).body["items"] == 201


def test_a_removed_item_is_recommended_no_more_but_read(client):
    before = listed(client, ["I00003"])
    answer = remove(client, "I00007")
    assert (answer.status, answer.body) == (200, {"item_id": "I00007", "version": 1, "items": 199})
    assert sorted(listed(client, ["I00003"])) == sorted(set(before) - {"I00007"})
    assert listed(client, ["I00007"])
    assert client.call("GET", "/v1/items/I00007", None, KEY).body["in_stock"] is False
    again = remove(client, "I00007")
    assert (again.status, again.body["version"]) == (200, 1)


def test_an_item_comes_back_with_the_codes_that_it_had(client):
    insert(client, LAMP)
    first = client.call("GET", "/v1/items/lamp", None, KEY).body["codes"]
    remove(client, "lamp")
    refused = insert(client, {**LAMP, "fields": {"title": "Another lamp"}})
    assert (refused.status, refused.body["error"]) == (409, "conflict") and "'title'" in refused.body["message"]
    answer = insert(client, LAMP, item("other lamp"))
    assert answer.body == {"added": ["other lamp"], "put_back": ["lamp"], "version": 3, "items": 202}
    again = client.call("GET", "/v1/items/lamp", None, KEY).body
    assert again["codes"] == first and again["in_stock"]
    remove(client, "I00007")
    assert insert(client, {"item_id": "I00007"}).body["put_back"] == ["I00007"]


def test_changes_are_there_after_a_restart_and_for_the_command_line(serving, own_run):
    with serving(run=own_run) as client:
        insert(client, LAMP, item("lamp 2"))
        insert(client, item("lamp 3"))
        for gone in ("lamp 2", "I00007", "I00008"):
            remove(client, gone.replace(" ", "%20"))
        insert(client, {"item_id": "I00008"})
        before = listed(client, ["I00003", "lamp"])
    with serving(run=own_run) as client:
        assert client.get("/readyz").body["version"] == 0
        assert listed(client, ["I00003", "lamp"]) == before
    recommender = Recommender.from_pretrained(own_run)
    gone = {recommender.catalogue.row_of[name] for name in ("lamp 2", "I00007")}
    assert set(np.flatnonzero(~recommender.stocked).tolist()) == gone
    untouched = Recommender.from_pretrained(own_run, with_additions=False)
    assert len(untouched.catalogue) == 200 and untouched.stocked.all()


def test_a_server_and_a_recommender_from_disk_give_equal_lists(client, own_run):
    for place in range(5):
        insert(client, item(f"lamp {place}", price=str(place)))
    remove(client, "I00011")
    loaded = Recommender.from_pretrained(own_run)
    for history in (["I00003"], ["lamp 1", "I00020"]):
        answer = client.call("POST", "/v1/recommend", {"history": history, "k": 30}, KEY).body
        made = loaded.recommend([history], k=30)[0]
        assert [entry["item_id"] for entry in answer["items"]] == [entry.item_id for entry in made]
        np.testing.assert_allclose(
            [entry["score"] for entry in answer["items"]], [entry.score for entry in made], atol=1e-5
        )


@pytest.mark.parametrize(
    ("items", "status", "error", "text"),
    [
        ([{"item_id": "I00003", "fields": {"title": "x"}}], 409, "conflict", "'I00003' is in the catalogue already"),
        ([item("new"), {"item_id": "I00003"}], 409, "conflict", "'I00003'"),
        ([{"item_id": "new"}], 422, "cannot_be_coded", "no text"),
        ([{"item_id": "new", "fields": {"titel": "x"}}], 422, "cannot_be_coded", "did you mean 'title'"),
        ([{"item_id": "new", "codes": [1, 2, 3]}], 422, "cannot_be_coded", "takes no codes"),
        ([{**LAMP, "vector": [0.5, 0.5]}], 422, "cannot_be_coded", "takes no vector"),
        ([item("new"), item("new")], 422, "not_as_documented", "more than once"),
        ([], 422, "not_as_documented", "items"),
        ([item("")], 422, "not_as_documented", "items.0.item_id"),
        ([item("a\nb")], 422, "not_as_documented", "items.0.item_id"),
        ([item("a\x00b")], 422, "not_as_documented", "items.0.item_id"),
        ([item("x" * 513)], 422, "not_as_documented", "items.0.item_id"),
        ([item("new", title=3)], 422, "not_as_documented", "items.0.fields.title"),
        ([item("new", title="x" * 20_001)], 422, "not_as_documented", "items.0.fields.title"),
        ([item(str(place)) for place in range(101)], 422, "not_as_documented", "items"),
        ([{"item_id": "new", "codes": [-1]}], 422, "not_as_documented", "items.0.codes.0"),
        ([{"item_id": "new", "colour": "red"}], 422, "not_as_documented", "items.0.colour"),
    ],
)
def test_items_that_cannot_be_taken_on_are_refused_and_change_nothing(client, items, status, error, text):
    answer = insert(client, *items)
    assert (answer.status, answer.body["error"]) == (status, error)
    assert text in answer.body["message"] + " ".join(answer.body["where"])
    assert client.get("/readyz").body["version"] == 0


def test_lone_surrogates_and_large_bodies_are_refused(client):
    answer = client.call("POST", "/v1/items", b'{"items": [{"item_id": "\\ud800"}]}', KEY)
    assert (answer.status, answer.body["error"]) == (400, "not_json")
    assert client.call("POST", "/v1/items", b"x" * 1_000_001, KEY).status == 413
    assert client.call("POST", "/v1/reload", b'{"run": "another"}', KEY).status == 422


def test_what_is_not_there_cannot_be_removed_and_the_last_one_stays(client, own_run):
    assert remove(client, "nobody").status == 404 and remove(client, "x" * 513).status == 404
    base = Recommender.from_pretrained(own_run).catalogue.item_ids.tolist()
    changes = stored.read_changes(RunFolder(own_run), SemanticIDs.load(own_run / "semantic_ids.npz"))
    stored.write_changes(RunFolder(own_run), changes.without(base[1:]))
    answer = remove(client, base[0])  # the removals of others are read first
    assert (answer.status, answer.body["error"]) == (409, "conflict") and "last item" in answer.body["message"]
    assert listed(client, base[1:3], exclude_history=False) == base[:1]


def test_nothing_can_be_changed_without_a_key(serving, own_run, monkeypatch):
    monkeypatch.delenv("GENREC_API_KEY")
    with serving(run=own_run) as client:
        for answer in (insert(client, LAMP), remove(client, "I00003"), reload(client)):
            assert (answer.status, answer.body["error"]) == (403, "changes_are_off")
            assert "GENREC_API_KEY" in answer.body["message"]
        assert client.get("/v1/items/I00003").body["in_stock"]


def test_a_wrong_key_changes_nothing(client):
    for headers in ({}, {"X-API-Key": "open"}):
        assert client.call("POST", "/v1/items", {"items": [LAMP]}, headers).status == 401
        assert client.call("DELETE", "/v1/items/I00003", None, headers).status == 401
        assert client.call("POST", "/v1/reload", None, headers).status == 401
    assert client.get("/readyz").body["version"] == 0


@pytest.mark.parametrize("moment", ["atomic_folder", "atomic_json"])
def test_an_insert_that_breaks_off_leaves_the_old_state(client, own_run, monkeypatch, moment):
    insert(client, LAMP)
    remove(client, "I00007")
    files = {path: path.read_bytes() for path in (own_run / "additions").rglob("*") if path.is_file()}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(stored, moment, full)
        answer = insert(client, item("lamp 2"), {"item_id": "I00007"})
    assert (answer.status, answer.body["error"]) == (503, "not_stored") and "No space left" in answer.body["message"]
    assert {path: path.read_bytes() for path in (own_run / "additions").rglob("*") if path.is_file()} == files
    assert client.get("/readyz").body["version"] == 2
    assert insert(client, item("lamp 2"), {"item_id": "I00007"}).body["items"] == 202


def test_reloading_reads_what_others_have_added(client, own_run, tmp_path):
    insert(client, LAMP)
    (tmp_path / "more.jsonl").write_text(json.dumps({"item_id": "shelf", "title": "Oak shelf"}) + "\n")
    add_items(own_run, tmp_path / "more.jsonl")
    assert client.call("GET", "/v1/items/shelf", None, KEY).status == 404
    assert reload(client).body == {"version": 2, "items": 202}
    assert client.call("GET", "/v1/items/shelf", None, KEY).body["version"] == 2
    (tmp_path / "most.jsonl").write_text(json.dumps({"item_id": "chair", "title": "Oak chair"}) + "\n")
    add_items(own_run, tmp_path / "most.jsonl")
    assert insert(client, item("lamp 2")).body == {"added": ["lamp 2"], "put_back": [], "version": 4, "items": 204}
    assert Recommender.from_pretrained(own_run).catalogue.item_ids[200:].tolist() == [
        "lamp",
        "shelf",
        "chair",
        "lamp 2",
    ]


def test_reloading_reads_a_newer_training_of_the_run(client, own_run, train_more):
    insert(client, LAMP)
    remove(client, "I00007")
    before = listed(client, ["I00003", "lamp"])
    train_more(own_run)
    assert listed(client, ["I00003", "lamp"]) == before
    assert reload(client).body == {"version": 3, "items": 200}
    made = Recommender.from_pretrained(own_run).recommend([["I00003", "lamp"]], k=200)[0]
    now = listed(client, ["I00003", "lamp"])
    assert now == [entry.item_id for entry in made] and now != before and "I00007" not in now
    assert insert(client, item("lamp 2")).body["version"] == 4


def test_a_run_that_is_not_whole_is_refused_and_the_old_one_goes_on(client, own_run, caplog):
    before = listed(client, ["I00003"])
    weights = own_run / "generator" / "model.safetensors"
    shutil.move(weights, weights.with_name("kept"))
    with caplog.at_level("WARNING"):
        answer = reload(client)
    assert (answer.status, answer.body["error"]) == (409, "run_not_whole")
    assert "model.safetensors" in answer.body["message"] and "model.safetensors" in caplog.text
    assert listed(client, ["I00003"]) == before and client.get("/readyz").body["version"] == 0
    shutil.move(weights.with_name("kept"), weights)
    assert reload(client).body == {"version": 1, "items": 200}
    assert listed(client, ["I00003"]) == before


def test_a_run_that_is_tokenized_anew_takes_no_changes_until_it_is_whole(client, own_run):
    path = own_run / "stages" / "tokenize.json"
    path.write_text(path.read_text().replace('"seconds"', '"second_thoughts"'))
    answer = insert(client, LAMP)
    assert (answer.status, answer.body["error"]) == (409, "run_not_whole")
    assert not (own_run / "additions").exists()


def test_a_change_waits_for_another_process_only_a_little_while(client, own_run):
    with RunFolder(own_run).lock():
        answer = remove(client, "I00003")
        assert (answer.status, answer.body["error"]) == (503, "run_in_use")
        assert int(answer.headers["retry-after"]) >= 1
        assert listed(client, ["I00007"])
    assert remove(client, "I00003").status == 200


def test_too_many_changes_are_refused(serving, own_run):
    with serving("serving.change_queue=1", run=own_run) as client, RunFolder(own_run).lock():
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(remove(client, "I00003"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {answer.status for answer in answers} == {503}
    errors = [answer.body["error"] for answer in answers]
    assert "too_many_changes" in errors and "run_in_use" in errors
    assert all("retry-after" in answer.headers for answer in answers)


def test_changes_and_stock_are_counted(client):
    insert(client, LAMP)
    insert(client, LAMP)
    remove(client, "I00003")
    reload(client)
    text = client.get("/metrics").body.decode()
    for line in (
        'genrec_catalogue_changes_total{kind="insert",result="done"} 1.0',
        'genrec_catalogue_changes_total{kind="insert",result="conflict"} 1.0',
        'genrec_catalogue_changes_total{kind="remove",result="done"} 1.0',
        'genrec_catalogue_changes_total{kind="reload",result="done"} 1.0',
        "genrec_items_in_stock 200.0",
        "genrec_catalogue_version 3.0",
    ):
        assert line in text


def test_every_problem_of_a_change_is_documented(client):
    paths = client.get("/openapi.json").body["paths"]
    told = {
        ("/v1/items", "post"): {200, 400, 401, 403, 408, 409, 413, 422, 503},
        ("/v1/items/{item_id}", "delete"): {200, 401, 403, 404, 409, 503},
        ("/v1/reload", "post"): {200, 400, 401, 403, 408, 409, 413, 422, 503},
    }
    for (path, method), statuses in told.items():
        assert set(map(int, paths[path][method]["responses"])) == statuses
    schema = paths["/v1/items"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["items"]["maxItems"] == 100


def test_recommendations_go_on_while_the_catalogue_changes(client):
    """Every answer's items are in stock in the version that it names."""
    history = {0: frozenset(listed(client, ["I00003"], exclude_history=False))}
    kept, over, failed, answers = threading.Lock(), threading.Event(), [], []
    assert len(history[0]) == 200

    def ask(turn):
        random = np.random.default_rng(turn)
        while not over.is_set():
            begun_at = max(history)
            body = {"history": [f"I{random.integers(1, 200):05d}"], "k": 200, "exclude_history": False}
            answer = client.call("POST", "/v1/recommend", body, KEY)
            if answer.status != 200:
                failed.append(answer)
                return
            answers.append((begun_at, answer.body["version"], {entry["item_id"] for entry in answer.body["items"]}))

    def change(kind, number):
        with kept:  # so that the order of versions is known
            before = set(history[max(history)])
            if kind == "insert":
                answer, now = insert(client, item(f"lamp {number}")), before | {f"lamp {number}"}
            elif kind == "remove":
                name = f"I{number + 10:05d}"
                answer, now = remove(client, name), before - {name}
            else:
                answer, now = reload(client), before
            assert answer.status == 200, answer
            assert answer.body["version"] == max(history) + 1
            history[answer.body["version"]] = frozenset(now)

    askers = [threading.Thread(target=ask, args=[turn]) for turn in range(3)]
    changers = [
        threading.Thread(target=lambda kind=kind: [change(kind, number) for number in range(10)])
        for kind in ("insert", "remove", "reload")
    ]
    for thread in askers + changers:
        thread.start()
    for thread in changers:
        thread.join()
    time.sleep(0.2)
    over.set()
    for thread in askers:
        thread.join()
    assert not failed and len(history) == 31
    assert len({version for _, version, _ in answers}) > 3
    for begun_at, version, items in answers:
        assert version >= begun_at and items <= history[version]
        assert len(items) == min(200, len(history[version]))
    assert answers[-1][1] == 30 and len(history[30]) == 200
