"""The files of the page, and the headers under which they go out."""

import re
from pathlib import Path

import pytest

from genrec.serving.page_files import FOLDER, page_files

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SOURCES = sorted(FOLDER.iterdir())


def test_the_page_goes_out_under_strict_headers(client):
    answer = client.get("/")
    assert answer.status == 200 and answer.body == (FOLDER / "index.html").read_bytes()
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("file", page_files(), ids=lambda file: file.path)
def test_every_file_has_its_type_and_is_not_sent_twice(client, file):
    answer = client.get(file.path)
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.body == file.content
    assert answer.headers["content-type"].startswith(kinds.get(file.path.rpartition(".")[2], "text/html"))
    again = client.get(file.path, **{"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")
    assert client.get(file.path, **{"If-None-Match": '"other"'}).status == 200


def test_a_head_has_the_length_and_no_body(client):
    answer = client.call("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.get("/").body)


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/main.py",
        "/index.html",
        "/page/index.html",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(client, path):
    assert client.get(path).status == 404


def test_other_methods_are_told_so(client):
    answer = client.post("/", {})
    assert (answer.status, answer.body["error"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_the_sources_set_no_markup_and_load_nothing_from_elsewhere(file):
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"https?://|//cdn|@import|\burl\(", text)
    assert not re.search(r"\son\w+=|style=", text)


def test_every_file_of_the_page_is_used():
    text = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES)
    for file in SOURCES:
        if file.name != "index.html":
            assert re.search(rf'["/]{re.escape(file.name)}"', text), f"nothing loads {file.name}"


def test_the_page_is_part_of_the_package():
    import tomllib

    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert "serving/page/*" in project["tool"]["setuptools"]["package-data"]["genrec"]
    assert all(file.is_file() for file in SOURCES) and len(SOURCES) == len(page_files())
