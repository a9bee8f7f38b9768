"""Replicas by Ray Serve; these tests skip without Ray."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from genrec.errors import ConfigError
from genrec.serving.many_machines import application

KEY = {"X-API-Key": "open sesame"}


def test_arguments_are_checked(own_run):
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match="expected run, replicas, threads, gpus and overrides, got replica, run"):
        application({"run": str(own_run), "replica": 2})
    with pytest.raises(ConfigError, match="max_batches is unknown"):
        application({"run": str(own_run), "overrides": ["serving.max_batches=3"]})


def test_the_config_of_a_cluster_names_what_there_is(own_run):
    path = Path(__file__).parents[3] / "configs" / "ray" / "serve.yaml"
    told = yaml.safe_load(path.read_text())["applications"][0]
    assert told["import_path"] == f"{application.__module__}:{application.__name__}"
    pytest.importorskip("ray")
    application({**told["args"], "run": str(own_run)})


def test_two_replicas_answer_as_one_server_does_and_follow_one_another(own_run, serving_client, recommender):
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--replicas", "2", "serving.follow_seconds=0.2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "genrec", "serve", own_run, *options],
        env={**os.environ, "GENREC_API_KEY": KEY["X-API-Key"], "RAY_worker_niceness": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client = serving_client(port)
        assert any("serving" in line for line in process.stderr), "the replicas did not come up"
        history = ["I00003", "I00007"]
        made = [entry.item_id for entry in recommender.recommend([history], k=5)[0]]
        for _ in range(8):
            answer = client.post("/v1/recommend", {"history": history, "k": 5}, **KEY)
            assert answer.status == 200 and [entry["item_id"] for entry in answer.body["items"]] == made
        assert client.post("/v1/recommend", {"history": history}).status == 401
        lamp = {"item_id": "lamp", "fields": {"title": "Brass reading lamp"}}
        assert client.call("POST", "/v1/items", {"items": [lamp]}, KEY).status == 200
        until, in_a_row = time.monotonic() + 60, 0
        while in_a_row < 20 and time.monotonic() < until:  # both have it when nobody says that there is none
            in_a_row = in_a_row + 1 if client.get("/v1/items/lamp", **KEY).status == 200 else 0
        assert in_a_row == 20, json.dumps(answer.body)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
