"""Archives taken apart and put together again, honestly or not."""

import gzip
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from hstu_preserve.bundle.compression import GzipWriter
from hstu_preserve.bundle.headers import END_OF_ARCHIVE, make_header, make_padding
from hstu_preserve.bundle.layout import list_members
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.verification import Verification


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A member as bytes: header, content, padding."""

    path: str
    content: bytes
    header: bytes

    def to_bytes(self) -> bytes:
        return self.header + self.content + make_padding(len(self.content))

    def with_content(self, content: bytes) -> "Piece":
        return make_piece(self.path, content)

    def with_header(self, header: bytes) -> "Piece":
        return replace(self, header=header)


def make_piece(path: str, content: bytes) -> Piece:
    return Piece(path=path, content=content, header=make_header(path, size=len(content)))


def read_pieces(root: Path) -> list[Piece]:
    """Return the members of a sealed tree in the archive's order."""
    return [make_piece(m.path, (root / m.path).read_bytes()) for m in list_members(read_tree_manifest(root))]


def join(pieces: list[Piece], *, end: bytes = END_OF_ARCHIVE) -> bytes:
    return b"".join(piece.to_bytes() for piece in pieces) + end


def compress(tar: bytes) -> bytes:
    """Return `tar` framed as a bundle is."""
    sink = BytesIO()
    writer = GzipWriter(sink)
    writer.write(tar)
    writer.finish()
    return sink.getvalue()


def verify_bytes(content: bytes) -> Verification:
    return verify_bundle(BytesIO(content))


def verify_tar(tar: bytes) -> Verification:
    return verify_bytes(compress(tar))


def read_tar(bundle: Path) -> bytes:
    return gzip.decompress(bundle.read_bytes())


def classes(verification: Verification) -> list[tuple[FindingClass, str]]:
    """Return class and path of each finding."""
    return [(finding.finding_class, finding.path) for finding in verification.findings]


def only_finding(verification: Verification) -> Finding:
    assert len(verification.findings) == 1, verification.describe()
    return verification.findings[0]


def snapshot(root: Path) -> dict[str, bytes | None]:
    """Return every file and folder below `root`, for a comparison of before and after."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }
