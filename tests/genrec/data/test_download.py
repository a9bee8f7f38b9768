"""Against a server on this machine that knows ranges and can hang up halfway."""

import hashlib
import http.server
import io
import re
import threading
import zipfile
from functools import partial

import pytest

from genrec.data import download as downloads
from genrec.data.download import DATASETS, download, fetch
from genrec.data.download_sets import find_set
from genrec.errors import DataError

CONTENT = bytes(range(256)) * 4000


class Server(http.server.ThreadingHTTPServer):
    """Files by path; `cut_after`: hang up after so many bytes; `asked`: the Range header of every request."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut_after, self.asked, self.version = files, None, [], '"1"'

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server: Server = self.server
        server.asked.append(self.headers.get("Range"))
        content = server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.headers.get("If-Range") == server.version else 0
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("ETag", server.version)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: server.cut_after])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server({"/file.gz": CONTENT}) as running:
        thread = threading.Thread(target=partial(running.serve_forever, poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole_and_its_sha256_is_kept(server, tmp_path):
    seen = []
    fetch(f"{server.url}/file.gz", tmp_path / "file.gz", progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert (tmp_path / "file.gz.sha256").read_text().split() == [hashlib.sha256(CONTENT).hexdigest(), "file.gz"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert {path.name for path in tmp_path.iterdir()} == {"file.gz", "file.gz.sha256"}


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert len(server.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.cut_after = 300_000
    with pytest.raises(DataError, match=r"300000 of 1024000 bytes came.*goes on where it stopped"):
        fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert not (tmp_path / "file.gz").exists()
    server.cut_after = None
    fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert server.asked == [None, "bytes=300000-"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_anew(server, tmp_path):
    server.cut_after = 300_000
    with pytest.raises(DataError):
        fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    server.cut_after, server.version = None, '"2"'
    server.files["/file.gz"] = CONTENT[::-1]
    fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == CONTENT[::-1]


def test_a_part_that_is_whole_already_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT)
    (tmp_path / "file.gz.part.version").write_text('"1"')
    fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert server.asked == ["bytes=1024000-", None]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_wrong_published_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DataError, match="expected MD5 0000, got"):
        fetch(f"{server.url}/file.gz", tmp_path / "file.gz", md5="0000")
    assert not list(tmp_path.glob("file.gz*part")) + list(tmp_path.glob("file.gz"))


def test_another_content_than_the_first_time_is_refused(server, tmp_path):
    fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    (tmp_path / "file.gz").unlink()
    server.files["/file.gz"] = CONTENT[::-1]
    with pytest.raises(DataError, match=r"first download had SHA-256.*delete .*file\.gz\.sha256"):
        fetch(f"{server.url}/file.gz", tmp_path / "file.gz")
    assert not (tmp_path / "file.gz").exists()


def test_a_missing_file_and_a_missing_server_are_told_apart(server, tmp_path):
    with pytest.raises(DataError, match="answers 404"):
        fetch(f"{server.url}/nothing", tmp_path / "x")
    with pytest.raises(DataError, match=r"cannot be fetched.*put the file at .*x yourself"):
        fetch("http://127.0.0.1:1/x", tmp_path / "x")


def test_a_movielens_archive_is_unpacked_to_its_two_tables(server, tmp_path, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::10::5::978300760\n")
        archive.writestr("ml-1m/movies.dat", "10::Heat (1995)::Action\n")
        archive.writestr("../../escape", "no")
    server.files["/datasets/movielens/ml-1m.zip"] = packed.getvalue()
    md5 = hashlib.md5(packed.getvalue()).hexdigest()
    known = DATASETS["movielens-1m"]
    monkeypatch.setitem(DATASETS, "movielens-1m", known._replace(files=(known.files[0]._replace(md5=md5),)))
    for _ in range(2):
        folder = download("movielens-1m", tmp_path, base_url=server.url)
    assert folder == tmp_path / "movielens-1m"
    assert {path.name for path in folder.iterdir()} == {"ratings.dat", "movies.dat"}
    assert len(server.asked) == 1
    assert known.paths == ("movielens-1m/ratings.dat", "movielens-1m/movies.dat")


def test_an_amazon_set_is_two_files(server, tmp_path):
    root = "/data/amazon/productGraph/categoryFiles"
    server.files |= {f"{root}/reviews_Beauty_5.json.gz": b"r", f"{root}/meta_Beauty.json.gz": b"m"}
    folder = download("amazon2014-beauty", tmp_path, base_url=server.url)
    assert (folder / "reviews_Beauty_5.json.gz").read_bytes() == b"r"
    assert (folder / "meta_Beauty.json.gz").read_bytes() == b"m"


def test_a_set_is_found_by_its_name_or_its_only_beginning():
    assert find_set("amazon2014-sports").name == "amazon2014-sports-and-outdoors"
    with pytest.raises(DataError, match=r"beginning of several sets.*movielens-10m"):
        find_set("movielens-10")
    with pytest.raises(DataError, match=r"is not a set.*movielens-1m"):
        find_set("movielens1m")


def test_every_set_has_a_format_and_https_addresses():
    assert len(DATASETS) == 6 + 24 + 29 + 25
    assert all(file.url.startswith("https://") for known in DATASETS.values() for file in known.files)
    assert downloads.fetch is fetch
