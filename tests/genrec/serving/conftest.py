"""A small run behind a port."""

import json
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from genrec import Recommender, run_pipeline
from genrec.serving.server import make_server

SMALL = (
    "data.world.num_items=200",
    "data.world.num_users=300",
    "embeddings.encoder=tfidf",
    "embeddings.tfidf_dim=16",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
)


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """A connection for each call."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            raw = json.dumps(body).encode() if isinstance(body, dict | list) else body
            connection.request(method, path, raw, headers or {})
            response = connection.getresponse()
            content = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            return Answer(response.status, json.loads(content) if is_json else content, dict(response.headers))
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("POST", path, body, headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, None, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, None, headers)


@pytest.fixture(scope="session")
def served_run(tmp_path_factory):
    return run_pipeline("demo", overrides=SMALL, out=tmp_path_factory.mktemp("served") / "run", until="train").path


@pytest.fixture
def own_run(served_run, tmp_path):
    """The run, to be changed."""
    return Path(shutil.copytree(served_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def train_more():
    """Trains a run for an epoch more, from the start."""

    def train(run):
        run_pipeline("demo", overrides=(*SMALL[:-1], "training.epochs=2"), out=run, until="train")

    return train


@pytest.fixture(scope="session")
def recommender(served_run):
    return Recommender.from_pretrained(served_run)


@pytest.fixture(scope="session")
def serving(served_run):
    """Starts a server of the run, or of another one; ends it when the block does."""

    @contextmanager
    def start(*overrides: str, run: Path = served_run):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = make_server(run, host="127.0.0.1", port=port, overrides=overrides)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(timeout=30)

    return start


@pytest.fixture
def serving_client():
    return Client


@pytest.fixture(scope="module")
def client(serving):
    with serving() as client:
        yield client
