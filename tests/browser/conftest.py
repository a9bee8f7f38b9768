"""A small run behind a port, and Chromium before its page."""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from genrec import run_pipeline
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
CHROMIUM = os.environ.get("CHROMIUM") or next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + event.blockedURI));
"""


@pytest.fixture(scope="module")  # not longer: while it runs, no other test can run an event loop in this thread
def chromium():
    if CHROMIUM is None or not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium here; `make test-browser` installs it, or name one with CHROMIUM=PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def serve(chromium, tmp_path_factory):
    """Starts a server of a small run; its address."""
    run = run_pipeline("demo", overrides=SMALL, out=tmp_path_factory.mktemp("page") / "run", until="train").path
    running = []

    def start(*overrides):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = make_server(run, host="127.0.0.1", port=port, overrides=("serving.deadline_ms=20000", *overrides))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        running.append((server, thread))
        return f"http://127.0.0.1:{port}/"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture(scope="module")
def address(serve):
    return serve()


class Browsing:
    """Opens pages, and remembers what went wrong on them and what they asked for."""

    def __init__(self, chromium):
        self.chromium = chromium
        self.pages, self.problems, self.requested = [], [], []
        self.refused = set()
        """Statuses that are expected: the browser logs every answer of 400 and above as an error."""

    def open(self, url, *, width=1280, theme="light"):
        context = self.chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        page.goto(url)
        self.pages.append(page)
        return page

    def _logged(self, message):
        is_expected = any(f"status of {status} " in message.text for status in self.refused)
        if message.type in ("error", "warning") and not is_expected:
            self.problems.append(message.text)


@pytest.fixture
def browsing(chromium):
    """After the test: nothing failed, nothing broke the security policy, and no other host was asked for anything."""
    browsing = Browsing(chromium)
    yield browsing
    for page in browsing.pages:
        browsing.problems += page.evaluate("window.violations")
        page.context.close()
    assert browsing.problems == []
    hosts = {url.split("/")[2].split(":")[0] for url in browsing.requested if not url.startswith("data:")}
    assert hosts == {"127.0.0.1"}
