"""Looking around over HTTP, against the recommender itself."""

import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from genrec.evaluation.target_paths import levels_survived
from genrec.recommendation.plan import plan_of
from genrec.recommendation.search import Search
from genrec.serving.codebook import Codebook
from genrec.serving.engine import Engine
from genrec.serving.explaining import Why, explained


@pytest.fixture(scope="module")
def codes(recommender):
    return recommender.generator.vocabulary.item_codes.numpy()


def prefixes_of(codes, length):
    return [".".join(map(str, row[:length])) for row in codes.tolist()]


def test_items_are_found_by_their_title_and_by_their_id(client, recommender):
    row = recommender.catalogue.row_of["I00003"]
    title = recommender.catalogue.title(row)
    for query in ("i00003", title.upper().replace(" ", "%20").replace("&", "%26")):
        answer = client.get(f"/v1/items?query={query}&limit=5")
        assert answer.status == 200
        assert {"item_id": "I00003", "title": title, "in_stock": True} in answer.body["items"]


def test_pages_of_items_follow_one_another(client):
    pages = [client.get(f"/v1/items?limit=80&offset={offset}").body for offset in (0, 80, 160)]
    assert [len(page["items"]) for page in pages] == [80, 80, 40]
    assert [page["has_more"] for page in pages] == [True, True, False]
    assert len({entry["item_id"] for page in pages for entry in page["items"]}) == 200


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=0", "limit: "),
        ("limit=101", "limit: "),
        ("limit=-1", "limit: "),
        ("limit=1.0", "limit: "),
        ("limit=", "limit: "),
        ("limit=%C2%B2", "limit: "),
        ("offset=10001", "offset: "),
        ("offset=99999999999", "offset: "),
        ("limit=1&limit=2", "twice"),
        ("colour=red", "colour"),
        ("query=" + "x" * 201, "query: "),
        ("query=%ff", "UTF-8"),
        ("query", "name=value"),
        ("query=" + "x" * 9000, "8192 bytes"),
    ],
)
def test_queries_are_read_strictly(client, query, text):
    for path in ("/v1/items", "/v1/codes"):
        answer = client.get(f"{path}?{query}")
        assert (answer.status, answer.body["error"]) == (422, "not_as_documented")
        assert "x" * 100 not in str(answer.body)
    assert text in client.get(f"/v1/items?{query}").body["message"] + " ".join(
        client.get(f"/v1/items?{query}").body["where"]
    )


def test_the_root_of_the_tree_counts_every_item_once(client, codes):
    root = client.get("/v1/codes?limit=5").body
    assert (root["prefix"], root["items"], root["share"], root["name"]) == ([], 200, 1.0, None)
    counts = Counter(codes[:, 0].tolist())
    assert {child["code"]: child["items"] for child in root["children"]} == counts
    assert [child["items"] for child in root["children"]] == sorted(counts.values(), reverse=True)
    assert sum(child["share"] for child in root["children"]) == pytest.approx(1)
    assert len(root["entries"]) == 5


def test_a_prefix_has_the_items_whose_codes_begin_so(client, recommender, codes):
    prefix = Counter(prefixes_of(codes, 1)).most_common(1)[0][0]
    expected = {
        item_id
        for item_id, own in zip(recommender.catalogue.item_ids.tolist(), prefixes_of(codes, 1), strict=True)
        if own == prefix
    }
    found = []
    while True:
        page = client.get(f"/v1/codes?prefix={prefix}&limit=7&offset={len(found)}").body
        found += page["entries"]
        if not page["entries"]:
            break
    assert {entry["item_id"] for entry in found} == expected and len(found) == len(expected) == page["items"]
    assert all(one["codes"] <= other["codes"] for one, other in pairwise(found))
    assert page["name"] == recommender.code_names[prefix]
    assert {child["code"] for child in page["children"]} == {entry["codes"][1] for entry in found}
    assert all(child["name"] == recommender.code_names[f"{prefix}.{child['code']}"] for child in page["children"])


def test_a_whole_id_has_no_children(client, codes):
    whole = ".".join(map(str, codes[0].tolist()))
    answer = client.get(f"/v1/codes?prefix={whole}").body
    assert (answer["children"], answer["num_children"]) == ([], 0) and answer["items"] >= 1


@pytest.mark.parametrize(
    ("prefix", "status", "error"),
    [
        ("8", 422, "cannot_be_done"),
        ("99999", 422, "cannot_be_done"),
        ("1.", 422, "not_as_documented"),
        ("-1", 422, "not_as_documented"),
        ("1..2", 422, "not_as_documented"),
        ("1.2.3.4.5.6", 422, "cannot_be_done"),
        ("a", 422, "not_as_documented"),
        ("0%0A", 422, "not_as_documented"),
    ],
)
def test_prefixes_that_cannot_be_are_refused_in_words(client, prefix, status, error):
    answer = client.get(f"/v1/codes?prefix={prefix}")
    assert (answer.status, answer.body["error"]) == (status, error)


def test_a_prefix_that_no_item_has_is_not_found(client, codes):
    used = set(prefixes_of(codes, 2))
    unused = next(f"{one}.{two}" for one in range(8) for two in range(8) if f"{one}.{two}" not in used)
    answer = client.get(f"/v1/codes?prefix={unused}")
    assert (answer.status, answer.body["error"]) == (404, "unknown_prefix") and unused in answer.body["message"]


def test_levels_tell_their_use_and_perplexity(client, codes):
    levels = client.get("/v1/codes").body["levels"]
    for level, own in zip(levels, codes.T, strict=True):
        counts = np.bincount(own)
        shares = counts[counts > 0] / 200
        assert level["used"] == len(shares)
        assert level["perplexity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
        assert level["most_used"] == sorted(counts[counts > 0].tolist(), reverse=True)


def test_what_was_taken_out_is_not_in_the_tree(recommender):
    row = recommender.catalogue.row_of["I00003"]
    codes = recommender.generator.vocabulary.item_codes[row].tolist()
    before = Codebook(recommender).below(codes[:1], limit=100, offset=0)
    after = Codebook(recommender.without(["I00003"])).below(codes[:1], limit=100, offset=0)
    assert before["items"] == after["items"] + 1 and after["version"] == 1
    assert "I00003" not in {entry["item_id"] for entry in after["entries"]}
    assert Codebook(recommender.without(["I00003"])).below([], limit=1, offset=0)["items"] == 199


def test_fields_are_those_that_conditions_may_name(client, recommender):
    fields = client.get("/v1/fields").body["fields"]
    assert [field["name"] for field in fields] == list(recommender.catalogue.fields)
    by_name = {field["name"]: field for field in fields}
    assert by_name["price"]["kind"] == "number" and by_name["brand"]["kind"] == "text"
    value = by_name["brand"]["values"][0]["value"]
    asked = {"history": ["I00003"], "where": {"brand": value}}
    assert client.post("/v1/recommend", asked).status == 200
    assert client.get("/v1/fields?x=1").status == 422


def test_an_explanation_is_the_recommenders_with_the_survival_of_each_code(client, recommender):
    history, item_id = ["I00003", "I00007"], "I00010"
    answer = client.post("/v1/explain", {"history": [*history, "unheard-of"], "item_id": item_id, "alternatives": 2})
    assert answer.status == 200
    told = recommender.explain(history, item_id, num_alternatives=2)
    assert answer.body["score"] == pytest.approx(told.score, abs=1e-5)
    assert [choice["rank"] for choice in answer.body["codes"]] == [choice.rank for choice in told.codes]
    assert all(len(choice["alternatives"]) <= 2 for choice in answer.body["codes"])
    assert (answer.body["ignored"], answer.body["beam_size"]) == (["unheard-of"], 50)


def test_codes_survive_as_far_as_the_runs_own_beam_keeps_them(recommender):
    config = recommender.config
    rows = [[recommender.catalogue.row_of[item_id] for item_id in ("I00003", "I00007")]]
    search = Search.of(recommender.model, [np.array(rows[0])], score=config.score)
    beam = plan_of(config, None, k=config.k, cap=None).beam(config.beam_size)
    depths = set()
    for item_id in recommender.catalogue.item_ids[:60].tolist():
        row = np.array([recommender.catalogue.row_of[item_id]])
        depth = int(levels_survived(search, recommender.trie, row, beam)[0])
        told = explained(recommender, Why(["I00003", "I00007"], item_id, 0))
        assert [choice["survives"] for choice in told["codes"]] == [
            level < depth for level in range(len(told["codes"]))
        ]
        depths.add(depth)
    listed = recommender.recommend([["I00003", "I00007"]], k=5, exclude_history=False)[0]
    for entry in listed:
        told = explained(recommender, Why(["I00003", "I00007"], entry.item_id, 0))
        assert all(choice["survives"] for choice in told["codes"])
    assert len(depths) > 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"history": ["I00003"]}, "not_as_documented"),
        ({"history": [], "item_id": "I00003"}, "not_as_documented"),
        ({"history": ["I00003"], "item_id": "I00003", "alternatives": 51}, "not_as_documented"),
        ({"history": ["I00003"], "item_id": "I00003", "alternatives": -1}, "not_as_documented"),
        ({"history": ["I00003"], "item_id": "I00003", "size": 1}, "not_as_documented"),
        ({"history": ["nobody"], "item_id": "I00003"}, "unknown_items"),
        ({"history": ["I00003"], "item_id": "nobody"}, "unknown_items"),
    ],
)
def test_explanations_that_cannot_be_given_are_refused_in_words(client, body, error):
    answer = client.post("/v1/explain", body)
    assert (answer.status, answer.body["error"]) == (422, error)
    assert client.post("/v1/explain", b"{").status == 400


def test_an_item_that_was_taken_out_is_explained_to_nobody(recommender):
    with pytest.raises(ValueError, match="taken out"):
        explained(recommender.without(["I00010"]), Why(["I00003"], "I00010", 3))


def test_explanations_take_turns_with_the_batches_and_too_many_are_refused(serving, monkeypatch):
    gate, threads = threading.Event(), set()
    told = explained

    def slow(recommender, why):
        threads.add(threading.current_thread().name)
        gate.wait(20)
        return told(recommender, why)

    answer = Engine.answer

    def listed(engine, calls):
        threads.add(threading.current_thread().name)
        return answer(engine, calls)

    monkeypatch.setattr("genrec.serving.browsing.explained", slow)
    monkeypatch.setattr(Engine, "answer", listed)
    options = ("serving.queue_size=2", "serving.max_requests=2", "serving.deadline_ms=20000")
    with serving(*options) as client:
        statuses = []

        def ask():
            statuses.append(client.post("/v1/explain", {"history": ["I00003"], "item_id": "I00007"}).status)

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for each in asking:
            each.start()
        while statuses.count(429) < 5 and any(each.is_alive() for each in asking):
            threading.Event().wait(0.01)
        assert client.get("/v1/items").status == 200  # what is only looked up does not wait
        gate.set()
        for each in asking:
            each.join(30)
        assert sorted(statuses) == [200] * 3 + [429] * 5
        assert client.post("/v1/recommend", {"history": ["I00003"]}).status == 200
    assert len(threads) == 1


def test_looking_around_needs_the_key_as_well(serving, monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", "open sesame")
    with serving() as client:
        for path in ("/v1/items", "/v1/codes", "/v1/fields"):
            assert client.get(path).status == 401
            assert client.get(path, **{"X-API-Key": "open sesame"}).status == 200
        assert client.post("/v1/explain", {"history": ["I00003"], "item_id": "I00007"}).status == 401
        assert client.get("/").status == 200


def test_the_interface_documents_every_parameter_with_its_bounds(client):
    paths = client.get("/openapi.json").body["paths"]
    items = {each["name"]: each for each in paths["/v1/items"]["get"]["parameters"]}
    assert items["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert items["query"]["schema"]["maxLength"] == 200 and not items["query"]["required"]
    assert set(paths["/v1/codes"]["get"]["responses"]) == {"200", "401", "404", "422", "429", "503"}
    body = paths["/v1/explain"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["alternatives"]["maximum"] == 50 and body["additionalProperties"] is False
