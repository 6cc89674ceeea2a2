"""Open a bundle as a directory on disk whose every byte was compared with one manifest."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.bundle import extraction
from hstu_preserve.bundle.layout import StoredManifest
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.errors import ContentError


@dataclass(frozen=True, kw_only=True)
class OpenedTree:
    """A verified tree on disk, of a run or of a migrated legacy archive.

    Attributes:
        root: Where its files are.
        stored: What they are.
    """

    root: Path
    stored: StoredManifest


@contextmanager
def open_tree(path: Path, *, identity: str | None) -> Iterator[OpenedTree]:
    """Yield the tree of any bundle, as `open_bundle` does."""
    if path.is_dir():
        stored = read_tree_manifest(path)
        require_same(stored, identity, path=path)
        yield OpenedTree(root=path, stored=stored)
        return
    with tempfile.TemporaryDirectory(prefix="hstu-preserve-") as temporary:
        root = Path(temporary) / "bundle"
        extraction.unpack(path, destination=root)
        stored = read_tree_manifest(root)
        require_same(stored, identity, path=path)
        yield OpenedTree(root=root, stored=stored)


def require_same(stored: StoredManifest, identity: str | None, *, path: Path) -> None:
    """Raise ContentError where the manifest is another than the one verified before."""
    if identity is not None and stored.identity != identity:
        raise ContentError(f"{path}: changed while it was worked on (manifest {identity}, now {stored.identity})")
