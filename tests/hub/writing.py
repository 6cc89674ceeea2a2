"""The local hub for publishers: makes repositories, takes LFS objects in parts or whole, checks a commit's parent."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from tests.hub.local_hub import Handler, LocalHub, RefusedError
from tests.hub.repositories import LFS_SUFFIXES, Repository, StoredFile


class WritingHub(LocalHub):
    """A local hub that can be written to.

    Attributes:
        objects: What is in LFS by sha256, committed or not.
        parts: Pieces of objects that are not whole yet.
        part_bytes: Larger objects are taken in parts of this size; None takes all whole.
        echoes_token: Whether error messages repeat the token that they complain of.
        lfs_suffixes: Of the files that go to LFS.
        ignored_suffixes: Of the files that the repository's .gitignore keeps out.
        spoil_commit: Changes a commit's files before they are there.
    """

    def __init__(self, *, part_bytes: int | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.part_bytes = part_bytes
        self.echoes_token = False
        self.lfs_suffixes: tuple[str, ...] = LFS_SUFFIXES
        self.ignored_suffixes: tuple[str, ...] = ()
        self.spoil_commit: Callable[[dict[str, StoredFile]], object] = len
        super().__init__()

    def find_stored(self, sha256: str) -> StoredFile | None:
        if sha256 in self.objects:
            return StoredFile(content=self.objects[sha256], is_lfs=True)
        return super().find_stored(sha256)

    def make(self, name: str, *, is_private: bool = False) -> Repository:
        """Make a repository as the Hub does, with one commit."""
        with self.lock:
            repository = self.repositories[name] = Repository(name=name, is_private=is_private)
            repository.add({".gitattributes": b"*.gz filter=lfs diff=lfs merge=lfs -text\n"})
            return repository

    def list_files(self, name: str) -> dict[str, bytes]:
        """Return the files of a repository's newest commit."""
        repository = self.repositories[name]
        files = repository.commits[repository.refs["main"]].files
        return {path: file.content for path, file in files.items() if path != ".gitattributes"}

    def list_titles(self, name: str) -> list[str]:
        """Return the titles of the commits, the newest first; the one that made the repository is left out."""
        repository = self.repositories[name]
        titles, tip = [], repository.refs.get("main")
        while tip is not None:
            titles.append(repository.commits[tip].title)
            tip = repository.commits[tip].parent
        return titles[:-1]


class WritingHandler(Handler):
    """One connection of a publisher."""

    hub: WritingHub

    def do_POST(self) -> None:  # noqa: N802  the server looks for these names
        self.answer()

    def do_PUT(self) -> None:  # noqa: N802  as above
        self.answer()

    def read_body(self) -> bytes:
        """Return the request's body, chunked or not."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            del self.headers["Content-Length"]  # it is read: nothing is left to refuse
            return body
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def require_writer(self, name: str) -> Repository:
        """Return a repository that the user may write to."""
        repository, user = self.find_repository(name), self.find_user()
        if user is None:
            raise RefusedError(401, "Invalid username or password.")
        if user.name != name.split("/", maxsplit=1)[0] or user.role != "write":
            said = self.headers["Authorization"] if self.hub.echoes_token else "you must use a write token"
            raise RefusedError(403, f"Forbidden: {said}")
        return repository

    def answer_hub(self) -> None:
        routes: dict[str, Callable[..., None]] = {
            r"GET /api/models/(?P<name>[^/]+/[^/]+)/auth-check/write": self.check_writer,
            r"POST /api/repos/create": self.create_repository,
            r"POST /api/validate-yaml": self.validate_card,
            r"POST /api/models/(?P<name>[^/]+/[^/]+)/preupload/main": self.choose_modes,
            r"POST /(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch": self.list_uploads,
            r"POST /api/models/(?P<name>[^/]+/[^/]+)/commit/main": self.take_commit,
        }
        for pattern, answer in routes.items():
            if match := re.fullmatch(pattern, f"{self.command} {self.route}"):
                answer(**match.groupdict())
                return
        super().answer_hub()

    def check_writer(self, name: str) -> None:
        self.require_writer(name)
        self.reply_json({})

    def create_repository(self) -> None:
        asked, user = json.loads(self.read_body()), self.find_user()
        if user is None:
            raise RefusedError(401, "Invalid username or password.")
        owner = asked.get("organization") or user.name
        if owner != user.name or user.role != "write":
            raise RefusedError(403, f"You don't have the rights to create a model under the namespace {owner}")
        name = f"{owner}/{asked['name']}"
        address = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repositories:
            self.reply_json({"error": "You already created this model repo", **address}, status=409)
            return
        self.hub.make(name, is_private=bool(asked.get("private")) or asked.get("visibility") == "private")
        self.reply_json(address)

    def validate_card(self) -> None:
        self.read_body()
        self.reply_json({"errors": [], "warnings": []})

    def choose_modes(self, name: str) -> None:
        repository = self.require_writer(name)
        files = repository.commits[repository.refs["main"]].files
        self.reply_json(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["path"].endswith(self.hub.lfs_suffixes) else "regular",
                        "shouldIgnore": one["path"].endswith(self.hub.ignored_suffixes),
                        "oid": files[one["path"]].etag if one["path"] in files else None,
                    }
                    for one in json.loads(self.read_body())["files"]
                ]
            }
        )

    def list_uploads(self, name: str) -> None:
        self.require_writer(name)
        objects = [
            self.describe_upload(one["oid"], size=one["size"]) for one in json.loads(self.read_body())["objects"]
        ]
        transfer = "multipart" if any("chunk_size" in str(one) for one in objects) else "basic"
        self.reply_json({"transfer": transfer, "objects": objects})

    def describe_upload(self, oid: str, *, size: int) -> dict[str, Any]:
        """Return where an object is to be put, or that it is there."""
        known = {"oid": oid, "size": size}
        if self.hub.find_stored(oid) is not None:
            return known
        address = f"{self.hub.storage_url}/lfs/{oid}?signature={self.hub.sign(oid)}"
        if self.hub.part_bytes is None or size <= self.hub.part_bytes:
            return {**known, "actions": {"upload": {"href": address, "header": {}}}}
        count = -(-size // self.hub.part_bytes)
        parts = {str(n): f"{address}&part={n}" for n in range(1, count + 1)}
        header = {**parts, "chunk_size": str(self.hub.part_bytes)}
        return {**known, "actions": {"upload": {"href": f"{address}&complete=1", "header": header}}}

    def take_commit(self, name: str) -> None:
        repository = self.require_writer(name)
        lines = [json.loads(line) for line in self.read_body().splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            tip = repository.refs["main"]
            if header.get("parentCommit", tip) != tip:
                raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(repository.commits[tip].files)
            for line in lines:
                self.apply(line["key"], line["value"], files=files)
            self.hub.spoil_commit(files)
            made = repository.commit(files, title=header["summary"])
        self.reply_json({"commitOid": made, "commitUrl": f"{self.hub.url}/{name}/commit/{made}", "success": True})

    def apply(self, key: str, value: dict[str, Any], *, files: dict[str, StoredFile]) -> None:
        """Apply one line of a commit."""
        if key == "file":
            files[value["path"]] = StoredFile(content=base64.b64decode(value["content"]), is_lfs=False)
        elif key == "lfsFile":
            stored = self.hub.find_stored(value["oid"])
            if stored is None:
                raise RefusedError(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = stored
        elif key == "deletedFile":
            del files[value["path"]]

    def answer_storage(self) -> None:
        if self.command in {"GET", "HEAD"} or "Authorization" in self.headers:
            super().answer_storage()
            return
        oid = self.route.rpartition("/")[2]
        if self.query.get("signature") != self.hub.sign(oid):
            raise RefusedError(403, "SignatureDoesNotMatch")
        body = self.read_body()
        if "complete" in self.query:
            self.complete(oid, json.loads(body))
        elif "part" in self.query:
            self.hub.parts.setdefault(oid, {})[int(self.query["part"])] = body
            self.reply(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        else:
            self.store(oid, body)
            self.reply(200)

    def complete(self, oid: str, asked: dict[str, Any]) -> None:
        """Join the parts of an object."""
        parts = self.hub.parts.pop(oid)
        self.store(oid, b"".join(parts[one["partNumber"]] for one in asked["parts"]))
        self.reply_json({})

    def store(self, oid: str, content: bytes) -> None:
        """Take an object whose bytes are its name's."""
        if hashlib.sha256(content).hexdigest() != oid:
            raise RefusedError(400, "BadDigest: the body does not match its sha256")
        self.hub.objects[oid] = content


WritingHub.handler = WritingHandler
