"""The command itself, in a process of its own."""

import json
import os
import signal
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from forked import as_command, genrec, started

from genrec import Recommender
from genrec.artifacts import RunFolder
from genrec.errors import ConfigError
from genrec.serving.config import ServingConfig
from genrec.serving.server import make_server


@pytest.fixture
def command(served_run, tmp_path):
    """Starts `genrec serve`; its process and port."""
    processes = []

    def start(run=served_run):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        typed = ["genrec", "serve", str(run), "--port", str(port), "--threads", "1"]
        files = [tmp_path / "stdout", tmp_path / "stderr"]
        processes.append(started(as_command, typed, folder=tmp_path, environment=os.environ, files=files))
        return processes[-1], port

    yield start
    for process in processes:
        process.kill()
        process.join()


def wait_until_ready(client):
    for _ in range(2400):
        try:
            if client.get("/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


def test_sigterm_under_load_answers_what_was_taken_on(command, serving_client):
    process, port = command()
    wait_until_ready(serving_client(port))
    answered, refused, broken_at, over = [], [], [], threading.Event()
    body = json.dumps({"requests": [{"history": ["I00003"]}] * 8})

    def ask():
        connection = HTTPConnection("127.0.0.1", port, timeout=30)  # kept, until an answer says that it ends
        while not over.is_set():
            began = time.monotonic()
            try:
                connection.request("POST", "/v1/recommend", body)
                response = connection.getresponse()
                lists = json.loads(response.read()).get("lists", [])
                (answered if response.status == 200 and len(lists) == 8 else refused).append(response.status)
            except ConnectionRefusedError:
                return  # it takes no more connections
            except (OSError, HTTPException):
                broken_at.append(began)
                return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    signalled = time.monotonic()
    process.terminate()
    process.join(20)
    assert process.exitcode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    over.set()
    for thread in threads:
        thread.join()
    assert len(answered) > 10 and set(refused) <= {503}
    # what is sent while a kept connection ends may be lost, as HTTP has it; nothing that was sent before the signal is
    assert all(began > signalled for began in broken_at)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_fifty_megabytes_costs_less_than_five_of_memory(command, serving_client, is_chunked):
    process, port = command()
    client = serving_client(port)
    wait_until_ready(client)

    def refused(megabytes):
        parts = (b"x" * 65536 for _ in range(megabytes * 16))
        headers = {} if is_chunked else {"Content-Length": str(megabytes * 2**20)}
        assert client.call("POST", "/v1/recommend", parts, headers).status == 413

    refused(2)  # what is loaded once is loaded
    before = peak_resident_bytes(process.pid)
    refused(50)
    assert peak_resident_bytes(process.pid) - before < 5_000_000


def peak_resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", "open sesame")
    return {"X-API-Key": "open sesame"}


def test_sigterm_waits_for_a_change_that_runs(command, serving_client, own_run, key):
    process, port = command(run=own_run)
    client, answers = serving_client(port), []
    wait_until_ready(client)
    items = {"items": [{"item_id": f"lamp {number}", "fields": {"title": "Brass lamp"}} for number in range(50)]}
    asked = threading.Thread(target=lambda: answers.append(client.call("POST", "/v1/items", items, key)))
    with RunFolder(own_run).lock():  # the change waits for it
        asked.start()
        while b"genrec_waiting_changes 1.0" not in client.get("/metrics").body:
            time.sleep(0.02)
        process.terminate()
        time.sleep(0.3)
        assert process.is_alive()
    asked.join()
    process.join(20)
    assert process.exitcode == 128 + signal.SIGTERM
    assert [(answer.status, answer.body["items"]) for answer in answers] == [(200, 250)]
    assert len(Recommender.from_pretrained(own_run).catalogue) == 250


def test_a_server_that_is_killed_while_items_come_leaves_whole_states(command, serving_client, own_run, key):
    process, port = command(run=own_run)
    client, taken = serving_client(port), []
    wait_until_ready(client)

    def insert_all():
        for number in range(10_000):
            item = {"item_id": f"lamp {number}", "fields": {"title": f"Brass lamp {number}"}}
            try:
                answer = client.call("POST", "/v1/items", {"items": [item]}, key)
            except OSError:
                return
            taken.append((number, answer.status))

    inserting = threading.Thread(target=insert_all)
    inserting.start()
    while len(taken) < 5 and inserting.is_alive():
        time.sleep(0.01)
    process.kill()
    inserting.join()
    assert taken == [(number, 200) for number in range(len(taken))]
    found = Recommender.from_pretrained(own_run).catalogue.item_ids[200:].tolist()
    # what was answered is there; one more may have been stored before its answer was sent
    assert found == [f"lamp {number}" for number in range(len(found))] and len(found) - len(taken) in (0, 1)


def test_overrides_are_checked_and_told(served_run):
    with pytest.raises(ConfigError, match="max_batches is unknown; did you mean 'max_batch'"):
        make_server(served_run, host="127.0.0.1", port=0, overrides=["serving.max_batches=3"])
    with pytest.raises(ConfigError, match="deadline_ms must be at least 1"):
        make_server(served_run, host="127.0.0.1", port=0, overrides=["serving.deadline_ms=0"])


@pytest.mark.parametrize(
    "name",
    ["max_batch", "queue_size", "deadline_ms", "max_body_bytes", "max_requests", "max_k", "max_items", "change_queue"],
)
def test_bounds_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        ServingConfig(**{name: 0})


def test_a_queue_that_a_call_does_not_fit_into_is_refused():
    with pytest.raises(ValueError, match=r"queue_size must be at least max_requests \(64\), got 63"):
        ServingConfig(queue_size=63)


def test_a_run_that_is_not_there_is_told_before_anything_is_bound(tmp_path):
    done = genrec("serve", tmp_path / "nothing", cwd=tmp_path)
    assert done.returncode == 2 and "is not a run folder" in done.stderr
    assert not done.stdout and json.dumps(done.stderr).count("Traceback") == 0
