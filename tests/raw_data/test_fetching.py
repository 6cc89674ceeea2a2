"""`data download` against a server on the loopback: whole and right, or nothing and a sentence that says why."""

import hashlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from hstu_preserve import download_data
from hstu_preserve.data import known_datasets
from hstu_preserve.errors import ContentError, PreserveError, UnavailableError, UsageError
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.raw_data import fetching
from hstu_preserve.raw_data.fetching import fetch_zip
from tests.forked import run_program
from tests.patient_threads import patiently

IMPATIENT = RetryPolicy(first_wait_seconds=0.0)


def make_zip(num_bytes: int = 300_000) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr(ZipInfo("ml-1m/ratings.dat"), bytes(range(256)) * (num_bytes // 256))
    return stream.getvalue()


CONTENT = make_zip()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves one content; `cuts` are the places where the next connections break."""

    def __init__(self) -> None:
        self.content, self.status, self.cuts = CONTENT, 200, list[int]()
        self.etag: str | None = '"one"'
        self.ignores_ranges = self.keeps_length = False
        self.requests: list[dict[str, str]] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append({name.lower(): value for name, value in handler.headers.items()})
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = self.find_start(handler)
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        if not self.keeps_length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)

    def find_start(self, handler: BaseHTTPRequestHandler) -> int:
        asked = handler.headers.get("Range")
        if asked is None or self.ignores_ranges or handler.headers.get("If-Range") != self.etag:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        patiently(thread.start)
        server.url = f"http://127.0.0.1:{listening.server_port}/movielens/ml-1m.zip"
        yield server
        listening.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_whole_with_its_digests(server: Server, tmp_path: Path) -> None:
    seen: list[Progress] = []
    found = fetch_zip(server.url, tmp_path / "a" / "x.zip", md5=MD5, voice=Voice(show=seen.append))
    assert (tmp_path / "a" / "x.zip").read_bytes() == CONTENT
    assert (found.size, found.received) == (len(CONTENT), len(CONTENT))
    assert set(found.digests.values()) == {MD5, hashlib.sha256(CONTENT).hexdigest()}
    assert (seen[-1].activity, seen[-1].completed, seen[-1].total) == ("ml-1m.zip", len(CONTENT), len(CONTENT))


def test_no_token_travels(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch_zip(server.url, tmp_path / "x.zip", md5=MD5)
    assert not [one for one in server.requests if "authorization" in one or "hf_secret" in str(one)]


def test_a_file_that_is_here_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(CONTENT)
    assert fetch_zip(server.url, tmp_path / "x.zip", md5=MD5).received == 0
    assert not server.requests


@pytest.mark.parametrize("md5", [MD5, None])
def test_another_file_stays(server: Server, tmp_path: Path, md5: str | None) -> None:
    (tmp_path / "x.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        fetch_zip(server.url, tmp_path / "x.zip", md5=md5)
    assert (tmp_path / "x.zip").read_bytes() == b"mine"
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="exists"):
        fetch_zip(server.url, tmp_path / "folder", md5=md5)


def test_a_broken_connection_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000, 50_000, 1]
    found = fetch_zip(server.url, tmp_path / "x.zip", md5=MD5, policy=IMPATIENT)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert found.received == len(CONTENT)
    assert [one.get("range") for one in server.requests] == [None, "bytes=1000-", "bytes=51000-", "bytes=51001-"]


@pytest.mark.parametrize("spoil", ["no etag", "weak etag", "no ranges"])
def test_it_begins_anew_if_the_server_cannot_go_on(server: Server, tmp_path: Path, spoil: str) -> None:
    server.etag = {"no etag": None, "weak etag": 'W/"one"'}.get(spoil, server.etag)
    server.ignores_ranges = spoil == "no ranges"
    server.cuts = [1000, 5000]
    fetch_zip(server.url, tmp_path / "x.zip", md5=MD5, policy=IMPATIENT)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


def test_it_gives_up_if_no_new_byte_arrives(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ignores_ranges = [1000] * 9, True
    with pytest.raises(UnavailableError, match="gave up after 5 attempts"):
        fetch_zip(server.url, tmp_path / "x.zip", md5=MD5, policy=IMPATIENT)
    assert list_names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "md5", "said"),
    [
        (CONTENT[:-1] + b"\1", MD5, f"published is {MD5}"),
        (b"<!doctype html><html>log in</html>", MD5, "an HTML page"),
        (b"<html>log in</html>", None, "not a zip; it is an HTML page"),
        (b"", MD5, "it is nothing, it is empty"),
        (b"\x1f\x8bgzip", None, "a gzip file"),
    ],
)
@pytest.mark.parametrize("keeps_length", [False, True])
def test_other_bytes_leave_nothing(
    server: Server, tmp_path: Path, content: bytes, md5: str | None, said: str, keeps_length: bool
) -> None:
    server.content, server.keeps_length = content, keeps_length
    with pytest.raises(ContentError, match=said):
        fetch_zip(server.url, tmp_path / "x.zip", md5=md5, policy=IMPATIENT)
    assert list_names(tmp_path) == []


def test_a_server_without_an_end_is_left(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 100_000)
    with pytest.raises(ContentError, match="nothing is kept"):
        fetch_zip(server.url, tmp_path / "x.zip", md5=MD5)
    assert list_names(tmp_path) == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 5)])
def test_a_refusal_is_told(server: Server, tmp_path: Path, status: int, requests: int) -> None:
    server.status = status
    with pytest.raises(UnavailableError, match=str(status)):
        fetch_zip(server.url, tmp_path / "x.zip", md5=MD5, policy=IMPATIENT)
    assert len(server.requests) == requests
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://a/b", "ml-1m.zip", "http://", "http://a b/c"])
def test_an_address_that_is_none_is_a_usage_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="https://"):
        fetch_zip(url, tmp_path / "x.zip", md5=MD5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ml-9m", "ml-100k, ml-latest-small, ml-1m"),
        ("amzn-books", "ratings_Books.csv"),
        ("ml-3b", "generates it from ml-20m"),
        ("ml-1m", "https://grouplens.org/datasets/movielens/1m/"),
    ],
)
def test_python_names_what_is_missing(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(PreserveError, match=said):
        download_data(name, accepts_terms=False, output=tmp_path / "x.zip")
    assert list_names(tmp_path) == []


def test_every_edition_has_an_address() -> None:
    for name, dataset in known_datasets.KNOWN_DATASETS.items():
        assert dataset.zip_url == f"https://files.grouplens.org/datasets/movielens/{name}.zip"


def test_the_command_wants_the_terms_accepted(server: Server, tmp_path: Path) -> None:

    def download(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return run_program("data", "download", *words, "--url", server.url, cwd=tmp_path, environment=os.environ)

    unasked = download("ml-1m")
    assert (unasked.returncode, unasked.stdout) == (2, b"")
    assert b"--accept-terms" in unasked.stderr
    assert b"grouplens.org/datasets/movielens/1m/" in unasked.stderr
    assert not server.requests
    wrong = run_program(
        "data", "download", "ml-1m", "--url", server.url, "--accept-terms", cwd=tmp_path, environment=os.environ
    )
    assert wrong.returncode == 3
    assert b"c4d9eecfca2ab87c1945afe126590906" in wrong.stderr
    assert list_names(tmp_path) == []
    taken = download("ml-latest-small", "--accept-terms")
    assert taken.returncode == 0
    assert f"{MD5} (none that lasts is published" in taken.stdout.decode()
    assert b"data prepare ml-latest-small --from ml-latest-small.zip" in taken.stdout
    assert (tmp_path / "ml-latest-small.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(("typed", "exit_code"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2)])
def test_the_command_asks_on_a_terminal(server: Server, tmp_path: Path, typed: bytes, exit_code: int) -> None:
    ours, theirs = pty.openpty()
    words = ["data", "download", "ml-latest-small", "--url", server.url]
    with subprocess.Popen(
        [sys.executable, "-m", "hstu_preserve", *words], stdin=theirs, stdout=-1, stderr=-1, cwd=tmp_path
    ) as process:
        os.write(ours, typed)
        _, said = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == exit_code
    assert b"research" in said
    assert b"Do you accept these terms?" in said
    assert (tmp_path / "ml-latest-small.zip").exists() == (exit_code == 0)
