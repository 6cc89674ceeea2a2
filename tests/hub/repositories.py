"""Repositories of the local hub: commits of files, named as git and Git LFS name them."""

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cached_property

LFS_SUFFIXES = (".gz", ".tgz", ".zip", ".bin", ".npz")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file's content and its names; a digest of it is made once, or the hub would be slower than its clients."""

    content: bytes
    is_lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @cached_property
    def blob_id(self) -> str:
        return git_blob_id(self.pointer if self.is_lfs else self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.blob_id

    @property
    def size(self) -> int:
        return len(self.content)


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(kw_only=True)
class Commit:
    """The files of a repository at one moment."""

    files: dict[str, StoredFile]
    parent: str | None = None
    title: str = ""


@dataclass(kw_only=True)
class Repository:
    """A model repository."""

    name: str
    is_private: bool = False
    is_gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, StoredFile], *, branch: str = "main", title: str = "") -> str:
        """Put these files, and no others, at the tip of a branch."""
        name = secrets.token_hex(20)
        self.commits[name] = Commit(files=files, parent=self.refs.get(branch), title=title)
        self.refs[branch] = name
        return name

    def add(self, files: dict[str, bytes], *, branch: str = "main") -> str:
        """Add files to the tip of a branch; the suffix decides what is in LFS."""
        tip = self.commits[self.refs[branch]].files if branch in self.refs else {}
        added = {
            path: StoredFile(content=content, is_lfs=path.endswith(LFS_SUFFIXES)) for path, content in files.items()
        }
        return self.commit({**tip, **added}, branch=branch)

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a revision means."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)
