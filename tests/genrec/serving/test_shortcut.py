import asyncio
import json

from starlette.responses import PlainTextResponse

from genrec.serving.shortcut import Shortcut


async def broken(request):
    raise RuntimeError("out of order")


async def short(request):
    return PlainTextResponse(f"short {request.method}")


async def other(scope, receive, send):
    await PlainTextResponse("other")(scope, receive, send)


def answer_to(method, path):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    app = Shortcut(other, {("GET", "/short"): short, ("GET", "/broken"): broken})
    asyncio.run(app(scope, None, send))
    return sent[0]["status"], sent[1]["body"]


def test_only_calls_of_the_same_method_and_path_take_the_short_way():
    assert answer_to("GET", "/short") == (200, b"short GET")
    assert answer_to("POST", "/short") == answer_to("GET", "/short/") == (200, b"other")


def test_a_failure_is_logged_and_told_without_its_reason(caplog):
    status, body = answer_to("GET", "/broken")
    assert status == 500 and json.loads(body)["error"] == "failed" and b"out of order" not in body
    assert "out of order" in caplog.text


def test_a_call_of_a_server_takes_it(client):
    assert client.post("/v1/recommend", {"history": ["I00003"]}).status == 200
    assert client.get("/v1/recommend").status == 405
