"""A Hugging Face Hub on 127.0.0.1, for the real client: two origins, so that a token that travels too far is seen.

The hub origin answers the API and `/resolve`; the storage origin holds what is in LFS, behind signed addresses, and
refuses every request that carries a token, as S3 does. `tests/hub/writing.py` adds what a publisher needs.
"""

import hashlib
import json
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.faults import HONEST, Fault
from tests.hub.repositories import Repository, StoredFile
from tests.patient_threads import patiently, start_daemon

PIECE = 1 << 16


@dataclass(kw_only=True)
class SeenRequest:
    """A request as it arrived, and what came of it."""

    method: str
    path: str
    headers: dict[str, str]
    origin: str
    status: int | None = None
    bytes_sent: int = 0


class RefusedError(Exception):
    """An answer that is an error of the Hub."""

    def __init__(self, status: int, message: str, *, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {**headers, **({"X-Error-Code": code} if code else {}), "X-Error-Message": message}


@dataclass(kw_only=True)
class User:
    """Whose token it is."""

    name: str
    role: str = "write"


class LocalHub:
    """The hub; a context manager."""

    handler: "type[Handler]"

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.users: dict[str, User] = {}
        self.faults: list[Fault] = []
        self.requests: list[SeenRequest] = []
        self.leaks: list[str] = []
        self.secret = secrets.token_hex(8)
        self.lock = threading.RLock()
        self.servers = {origin: self.start_server(origin) for origin in ("hub", "storage")}
        self.url, self.storage_url = (f"http://127.0.0.1:{one.server_port}" for one in self.servers.values())

    def start_server(self, origin: str) -> "QuietServer":
        return QuietServer(("127.0.0.1", 0), type("BoundHandler", (self.handler,), {"hub": self, "origin": origin}))

    def __enter__(self) -> Self:
        for server in self.servers.values():
            start_daemon(server.serve_forever, kwargs={"poll_interval": 0.02})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fault in self.faults:
            if fault.until is not None:
                fault.until.set()
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
            server.hang_up()

    def add(self, repository: str, files: dict[str, bytes]) -> str:
        """Publish files, without the client, and return the commit."""
        with self.lock:
            found = self.repositories.setdefault(repository, Repository(name=repository))
            return found.add(files)

    def spoil(self, fault: Fault) -> None:
        """Answer wrongly from now on."""
        self.faults.append(fault)

    def choose_fault(self, request: str) -> Fault:
        with self.lock:
            return next((fault for fault in self.faults if fault.takes(request)), HONEST)

    def sign(self, digest: str) -> str:
        return hashlib.sha256((self.secret + digest).encode()).hexdigest()[:32]

    def find_stored(self, sha256: str) -> StoredFile | None:
        """Return what is in LFS under a digest."""
        with self.lock:
            files = (f for r in self.repositories.values() for c in r.commits.values() for f in c.files.values())
            return next((file for file in files if file.is_lfs and file.sha256 == sha256), None)

    def count(self, pattern: str) -> int:
        """Return how many requests match."""
        return sum(bool(re.search(pattern, f"{one.method} {one.path}")) for one in self.requests)

    def count_sent(self, pattern: str = "^GET .*") -> int:
        """Return how many bytes of content were sent for the requests that match."""
        return sum(one.bytes_sent for one in self.requests if re.search(pattern, f"{one.method} {one.path}"))


class QuietServer(ThreadingHTTPServer):
    """A server that does not complain of clients that leave, and that ends each connection's thread with itself."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        patiently(partial(super().process_request, request, client_address))

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep for a next request: each would hold a thread until the tests end."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0
    hub: LocalHub
    origin: str
    seen: SeenRequest
    fault: Fault
    query: dict[str, str]
    route: str

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer one request, as it should be or as the next fault has it."""
        parts = urlsplit(self.path)
        self.route = unquote(parts.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.seen = SeenRequest(
            method=self.command, path=self.path, headers=dict(self.headers.items()), origin=self.origin
        )
        self.hub.requests.append(self.seen)
        self.fault = self.hub.choose_fault(f"{self.command} {self.path}")
        try:
            if self.fault.cut_at is None:
                self.stall()
            if self.fault.is_dropped:
                self.hang_up()
            elif self.fault.status is not None:
                self.refuse_body()
                self.reply(self.fault.status, self.fault.body or b"{}", self.fault.headers)
            elif self.origin == "storage":
                self.answer_storage()
            else:
                self.answer_hub()
        except RefusedError as refusal:
            self.refuse_body()
            self.reply(refusal.status, json.dumps({"error": refusal.message}).encode(), refusal.headers)
        except ConnectionError:
            self.close_connection = True

    def refuse_body(self) -> None:
        """Read what is left of a request, so that the connection stays in step."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send an answer of one piece."""
        self.seen.status = status
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value: Any, *, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    # The hub origin.

    def find_user(self) -> User | None:
        authorization = self.headers.get("Authorization")
        if authorization is None:
            return None
        user = self.hub.users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return user

    def find_repository(self, name: str) -> Repository:
        """Return a repository that the user may see; private and missing ones look alike."""
        user, found = self.find_user(), self.hub.repositories.get(name)
        if found is None or (found.is_private and (user is None or user.name != name.partition("/")[0])):
            raise RefusedError(404 if user else 401, "Repository not found", code="RepoNotFound")
        return found

    def find_commit(self, repository: Repository, revision: str) -> str:
        found = repository.resolve(revision)
        if found is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
        return found

    def answer_hub(self) -> None:
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.route):
            self.resolve_file(*match.groups())
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self.route):
            self.describe_repository(match[1], match[2] or "main")
        else:
            raise RefusedError(404, "Not found")

    def describe_repository(self, name: str, revision: str) -> None:
        repository = self.find_repository(name)
        commit = self.find_commit(repository, revision)
        self.reply_json(
            {
                "id": name,
                "modelId": name,
                "sha": commit,
                "private": repository.is_private,
                "siblings": [self.describe(path, file) for path, file in repository.commits[commit].files.items()],
            }
        )

    def describe(self, path: str, file: StoredFile) -> dict[str, Any]:
        lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        blobs = {"size": file.size, "blobId": file.blob_id, **({"lfs": lfs} if file.is_lfs else {})}
        return {"rfilename": path, **(blobs if "blobs" in self.query else {})}

    def resolve_file(self, name: str, revision: str, path: str) -> None:
        repository = self.find_repository(name)
        if repository.is_gated and self.find_user() is None:
            raise RefusedError(401, f"Access to model {name} is restricted.", code="GatedRepo")
        commit = self.find_commit(repository, revision)
        file = repository.commits[commit].files.get(path)
        if file is None:
            raise RefusedError(404, "Entry not found", code="EntryNotFound", **{"X-Repo-Commit": commit})
        if not file.is_lfs:
            self.send_content(file, {"X-Repo-Commit": commit})
            return
        address = f"{self.hub.storage_url}/lfs/{file.sha256}?signature={self.hub.sign(file.sha256)}"
        headers = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        self.reply(302, b"", {**headers, "Location": address, "ETag": f'"{file.blob_id}"', **self.fault.headers})

    # The storage origin.

    def answer_storage(self) -> None:
        if "Authorization" in self.headers:
            self.hub.leaks.append(self.path)
            raise RefusedError(400, "Only one auth mechanism allowed")
        digest = self.route.rpartition("/")[2]
        if self.query.get("signature") != self.hub.sign(digest):
            raise RefusedError(403, "SignatureDoesNotMatch")
        file = self.hub.find_stored(digest)
        if file is None:
            raise RefusedError(404, "NoSuchKey")
        self.send_content(file, {})

    def send_content(self, file: StoredFile, headers: dict[str, str]) -> None:
        """Send a file or the part that was asked for."""
        etag = self.fault.headers.get("ETag", f'"{file.etag}"')
        start = self.find_start(file, etag=etag)
        body = file.content[start:] if self.fault.body is None else self.fault.body
        self.seen.status = self.fault.range_status if start else 200
        self.send_response(self.seen.status)
        sent = {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **headers, "ETag": etag}
        if start:
            sent["Content-Range"] = f"bytes {start}-{file.size - 1}/{file.size}"
        for name, value in {**sent, **self.fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body, start=start)

    def find_start(self, file: StoredFile, *, etag: str) -> int:
        """Return the first byte that was asked for."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_other = self.headers.get("If-Range", etag) != etag and not self.fault.is_condition_ignored
        if match is None or self.fault.is_range_ignored or is_other:
            return 0
        if int(match[1]) >= file.size:
            raise RefusedError(416, "Range not satisfiable", **{"Content-Range": f"bytes */{file.size}"})
        return int(match[1])

    def send_body(self, body: bytes, *, start: int) -> None:
        rate = self.fault.bytes_per_second
        for offset, piece in split(body, start=start, size=PIECE if rate is None else max(1, int(rate / 10))):
            spoiled = self.spoil_piece(piece, offset=offset)
            self.wfile.write(spoiled)
            self.seen.bytes_sent += len(spoiled)
            if rate is not None:
                time.sleep(len(piece) / rate)
            if len(spoiled) < len(piece):
                self.stall()
                self.hang_up()
                return

    def stall(self) -> None:
        """Wait as the fault has it."""
        if self.fault.until is not None:
            self.fault.until.wait()

    def spoil_piece(self, piece: bytes, *, offset: int) -> bytes:
        """Return a piece as the fault has it: cut, or with one bit changed."""
        if self.fault.cut_at is not None and self.fault.cut_at < offset + len(piece):
            return piece[: max(0, self.fault.cut_at - offset)]
        flip_at = -1 if self.fault.flip_at is None else self.fault.flip_at - offset
        if 0 <= flip_at < len(piece):
            return piece[:flip_at] + bytes([piece[flip_at] ^ 1]) + piece[flip_at + 1 :]
        return piece


LocalHub.handler = Handler


def split(body: bytes, *, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield pieces with their place in the file."""
    for at in range(0, len(body), size):
        yield start + at, body[at : at + size]
