import http.client
import json
import socket
from contextlib import suppress

import numpy as np
import pytest

from genrec.recommendation.requests import Request


def test_a_history_gets_the_list_that_the_recommender_makes(client, recommender):
    history = ["I00003", "I00007"]
    answer = client.post("/v1/recommend", {"history": history, "k": 5})
    assert answer.status == 200
    made = recommender.recommend([history], k=5)[0]
    assert [entry["item_id"] for entry in answer.body["items"]] == [entry.item_id for entry in made]
    np.testing.assert_allclose(
        [entry["score"] for entry in answer.body["items"]], [entry.score for entry in made], atol=1e-5
    )
    catalogue = recommender.catalogue
    titles = [catalogue.title(catalogue.row_of[entry.item_id]) for entry in made]
    assert [entry["title"] for entry in answer.body["items"]] == titles
    assert (answer.body["version"], answer.body["ignored"], answer.body["certified"]) == (0, [], None)


def test_several_requests_keep_their_order_and_their_own_filters(client, recommender):
    requests = [
        {"history": ["I00003"], "k": 4, "deny": ["I00005"]},
        {"history": ["I00004", "unheard-of"], "k": 2, "exclude_history": False, "rank": "codes"},
        {"history": ["I00005"], "allow": ["I00010", "I00011", "I00012"]},
        {"history": ["I00006"], "k": 3, "where": {"price": {"max": 100}}},
    ]
    answer = client.post("/v1/recommend", {"requests": requests})
    assert answer.status == 200
    lists = answer.body["lists"]
    assert [len(one["items"]) for one in lists] == [4, 2, 3, 3]
    assert lists[1]["ignored"] == ["unheard-of"] and lists[1]["certified"] is not None
    assert {entry["item_id"] for entry in lists[2]["items"]} == {"I00010", "I00011", "I00012"}
    made = recommender.answer([Request(["I00006"], 3, where={"price": {"max": 100}})])[0]
    assert [entry["item_id"] for entry in lists[3]["items"]] == [entry.item_id for entry in made]


def test_exact_lists_say_so(client):
    answer = client.post("/v1/recommend", {"history": ["I00003"], "k": 3, "rank": "codes", "exact": True})
    assert (answer.status, answer.body["exact"], answer.body["certified"]) == (200, True, 3)


@pytest.mark.parametrize(
    ("body", "status", "error", "text"),
    [
        (b"{", 400, "not_json", "JSON"),
        (b"\xff\xfe", 400, "not_json", "UTF-8"),
        (b'{"history": ["\xff"]}', 400, "not_json", "JSON"),
        (b"[1]", 422, "not_as_documented", "JSON object"),
        (b"null", 422, "not_as_documented", "JSON object"),
        ({}, 422, "not_as_documented", "history"),
        ({"history": []}, 422, "not_as_documented", "history"),
        ({"history": "I00003"}, 422, "not_as_documented", "history"),
        ({"history": [3]}, 422, "not_as_documented", "history.0"),
        ({"history": ["I00003"], "k": 0}, 422, "not_as_documented", "k: "),
        ({"history": ["I00003"], "k": 10**9}, 422, "not_as_documented", "k: "),
        ({"history": ["I00003"], "k": "5"}, 422, "not_as_documented", "k: "),
        ({"history": ["I00003"], "size": 5}, 422, "not_as_documented", "size"),
        ({"history": ["I00003"], "where": {"price": {"least": 3}}}, 422, "not_as_documented", "where"),
        ({"history": ["I00003"], "where": {"colour of wings": "red"}}, 422, "cannot_be_done", "colour of wings"),
        ({"history": ["nobody", "knows"]}, 422, "unknown_items", "none of its 2 items"),
        ({"history": ["\x00"]}, 422, "unknown_items", "none of its 1 items"),
        ({"history": ["I00003"], "allow": ["nothing"]}, 422, "cannot_be_done", "allow list"),
        ({"history": ["I00003"], "exact": True}, 422, "cannot_be_done", "exact"),
        ({"requests": []}, 422, "not_as_documented", "requests"),
        ({"requests": [{"history": ["I00003"]}] * 65}, 422, "not_as_documented", "requests"),
    ],
)
def test_bad_calls_are_told_what_is_wrong(client, body, status, error, text):
    answer = client.post("/v1/recommend", body)
    assert (answer.status, answer.body["error"]) == (status, error)
    assert text in answer.body["message"] + " ".join(answer.body["where"])
    assert len(json.dumps(answer.body)) < 2000


def test_nothing_of_a_bad_body_comes_back(client):
    answer = client.post("/v1/recommend", {"history": [{"secret": "x" * 1000}] * 50})
    assert answer.status == 422 and len(answer.body["where"]) == 5
    assert "xxx" not in json.dumps(answer.body)


def test_a_wrong_call_does_not_touch_the_others_of_its_batch(client):
    requests = [{"history": ["I00003"]}, {"history": ["nobody"]}]
    assert client.post("/v1/recommend", {"requests": requests}).status == 422
    assert client.post("/v1/recommend", {"requests": requests[:1]}).status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("megabytes", [2, 50])
def test_a_body_that_is_too_large_gets_413_with_the_bound(client, megabytes, is_chunked):
    pieces = (b"x" * 65536 for _ in range(megabytes * 16))
    body = pieces if is_chunked else b"".join(pieces)
    answer = client.call("POST", "/v1/recommend", body)
    assert (answer.status, answer.body["error"]) == (413, "too_large")
    assert "1000000 bytes" in answer.body["message"] and answer.headers["connection"] == "close"
    assert client.get("/healthz").status == 200


def test_a_body_without_an_end_is_not_read_for_ever(client):
    sent = 0
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):  # it hangs up
            while sent < 1_000_000_000:
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
    assert 1_000_000 < sent < 200_000_000
    assert client.get("/healthz").status == 200


def test_a_head_that_tells_of_far_too_much_is_answered_at_once(client):
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_an_item_is_shown_with_its_codes_and_their_names(client, recommender):
    answer = client.get("/v1/items/I00003")
    assert answer.status == 200
    row = recommender.catalogue.row_of["I00003"]
    codes = recommender.generator.vocabulary.item_codes[row].tolist()
    assert [each["code"] for each in answer.body["codes"]] == codes
    assert answer.body["title"] == recommender.catalogue.title(row)
    assert answer.body["fields"]["price"] == recommender.catalogue.fields["price"][row]
    assert answer.body["in_stock"] is True
    assert client.get("/v1/items/nobody").body["error"] == "unknown_item"
    assert client.get("/v1/items/a%2Fb%00").status == 404


def test_similar_items_are_those_whose_vectors_point_alike(client, recommender):
    answer = client.post("/v1/similar", {"item_id": "I00003", "k": 4})
    assert answer.status == 200
    vectors = recommender.generator.embedding.all().detach().numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    row = recommender.catalogue.row_of["I00003"]
    cosines = unit @ unit[row]
    cosines[row] = -2
    best = np.argsort(-cosines)[:4]
    assert [near["item_id"] for near in answer.body["items"]] == recommender.catalogue.item_ids[best].tolist()
    np.testing.assert_allclose([near["similarity"] for near in answer.body["items"]], cosines[best], atol=1e-5)
    assert client.post("/v1/similar", {"item_id": "nobody"}).status == 404
    assert client.post("/v1/similar", {"item_id": "I00003", "k": 0}).status == 422


def test_the_model_says_what_it_is(client, recommender):
    model = client.get("/v1/model").body
    assert (model["items"], model["version"], model["run"]) == (200, 0, "run")
    assert model["level_sizes"] == list(recommender.trie.trie.level_sizes)
    assert model["limits"]["max_batch"] == 64


def test_health_readiness_and_metrics(client):
    assert client.get("/healthz").body == {"status": "alive"}
    assert client.get("/readyz").body == {"status": "ready", "version": 0}
    client.post("/v1/recommend", {"history": ["I00003"]})
    text = client.get("/metrics").body.decode()
    assert 'genrec_calls_total{method="POST",path="/v1/recommend",status="200"}' in text
    assert "genrec_batch_histories_count" in text and "genrec_waiting_histories 0.0" in text


def test_what_there_is_not_is_told_in_the_same_form(client):
    assert client.get("/nothing").body["error"] == "not_found"
    answer = client.get("/v1/recommend")
    assert (answer.status, answer.body["error"]) == (405, "method_not_allowed")
    assert client.get("/docs").status == 404


@pytest.mark.parametrize(
    "path, methods",
    [
        ("/v1/recommend", "POST"),
        ("/v1/items", "GET, POST"),
        ("/v1/items/I00003", "DELETE, GET"),
        ("/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_right_ones(client, path, methods):
    answer = client.call("PUT", path)
    assert (answer.status, answer.headers["allow"]) == (405, methods)


def test_answers_may_not_be_sniffed_or_kept(client):
    headers = client.get("/healthz").headers
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_the_key_is_asked_for_if_there_is_one(serving, monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", "open sesame")
    with serving() as client:
        body = {"history": ["I00003"]}
        assert client.post("/v1/recommend", body).status == 401
        assert client.call("POST", "/v1/recommend", body, {"X-API-Key": "open"}).status == 401
        assert client.call("POST", "/v1/recommend", body, {"X-API-Key": "open sesame"}).status == 200
        assert client.call("POST", "/v1/recommend", body, {"Authorization": "Bearer open sesame"}).status == 200
        for path in ("/v1/items/I00003", "/v1/model"):
            assert client.get(path).status == 401
        assert client.get("/healthz").status == 200


def test_bounds_are_those_of_the_config(serving):
    with serving("serving.max_k=3", "serving.max_history=2", "serving.exact=false") as client:
        assert client.post("/v1/recommend", {"history": ["I00003"]}).body["items"][2:]
        assert client.post("/v1/recommend", {"history": ["I00003"], "k": 4}).status == 422
        assert client.post("/v1/recommend", {"history": ["I00003"] * 3}).status == 422
        answer = client.post("/v1/recommend", {"history": ["I00003"], "rank": "codes", "exact": True})
        assert answer.status == 422 and "proves no lists" in answer.body["message"]


def test_connections_are_kept(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    for _ in range(3):
        connection.request("POST", "/v1/recommend", json.dumps({"history": ["I00003"]}))
        response = connection.getresponse()
        assert response.status == 200 and response.read()
    connection.close()
