"""The command itself, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from genrec.errors import ConfigError
from genrec.serving.config import ServingConfig
from genrec.serving.server import make_server


@pytest.fixture
def command(served_run):
    """Starts `genrec serve`; its process and port."""
    started = []

    def start(*options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "genrec", "serve", served_run, "--port", str(port), "--threads", "1", *options],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process, port

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_until_ready(client):
    for _ in range(600):
        try:
            if client.get("/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


def test_sigterm_under_load_answers_what_was_taken_on(command, serving_client):
    process, port = command()
    client = serving_client(port)
    wait_until_ready(client)
    answered, broken, refused, over = [], [], [], threading.Event()

    def ask():
        while not over.is_set():
            try:
                answer = client.post("/v1/recommend", {"requests": [{"history": ["I00003"]}] * 8})
                (answered if answer.status == 200 else refused).append(answer.status)
            except ConnectionRefusedError:
                return  # it takes no more connections
            except OSError as error:
                broken.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    seconds = time.monotonic() - began
    over.set()
    for thread in threads:
        thread.join()
    assert len(answered) > 10 and seconds < 20
    assert set(refused) <= {503}
    # a connection that the kernel had taken, but the server had not, may be reset; a call that was sent is answered
    assert len(broken) <= len(threads)


def test_overrides_are_checked_and_told(served_run):
    with pytest.raises(ConfigError, match="max_batches is unknown; did you mean 'max_batch'"):
        make_server(served_run, host="127.0.0.1", port=0, overrides=["serving.max_batches=3"])
    with pytest.raises(ConfigError, match="deadline_ms must be at least 1"):
        make_server(served_run, host="127.0.0.1", port=0, overrides=["serving.deadline_ms=0"])


@pytest.mark.parametrize("name", ["max_batch", "queue_size", "deadline_ms", "max_body_bytes", "max_requests", "max_k"])
def test_bounds_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        ServingConfig(**{name: 0})


def test_a_queue_that_a_call_does_not_fit_into_is_refused():
    with pytest.raises(ValueError, match=r"queue_size must be at least max_requests \(64\), got 63"):
        ServingConfig(queue_size=63)


def test_a_run_that_is_not_there_is_told_before_anything_is_bound(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "genrec", "serve", tmp_path / "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "is not a run folder" in done.stderr
    assert not done.stdout and json.dumps(done.stderr).count("Traceback") == 0
