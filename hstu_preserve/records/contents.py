"""What a bundle holds: one record per file, and how two listings differ."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.paths import BundlePath, find_colliding
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.record import Record


class Role(StrEnum):
    """What a file of a bundle is for; decided by its folder."""

    CONFIG = "config"
    CHECKPOINT = "checkpoint"
    EVENTS = "events"
    RESULT = "result"
    ENVIRONMENT = "environment"
    RUN = "run"
    DATA = "data"
    CODE = "code"
    REQUIREMENTS = "requirements"
    LEGACY = "legacy"
    """What a migrated archive held at no place of this layout."""


class FileRecord(Record):
    """One file of a bundle."""

    path: BundlePath
    size: Annotated[int, Field(ge=0, le=2**53 - 1)]
    """In bytes."""
    sha256: Sha256
    role: Role


class FindingClass(StrEnum):
    """Kinds of difference between what is and what should be."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    CHANGED = "changed"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out-of-order"
    NOT_CANONICAL = "not-canonical"
    WRONG_TYPE = "wrong-type"
    UNSAFE_NAME = "unsafe-name"
    TOO_LARGE = "too-large"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing-bytes"
    BAD_COMPRESSION = "bad-compression"
    BAD_MANIFEST = "bad-manifest"


class Finding(Record):
    """One difference: where, of which kind, what was expected and what was found."""

    finding_class: FindingClass
    path: str
    """The member or file concerned, as it is spelled there."""
    expected: str | None
    found: str | None

    def describe(self) -> str:
        """Return the finding as one line, whatever characters the names in it have."""
        detail = ", ".join(
            f"{word} {printable(value)}"
            for word, value in (("expected", self.expected), ("found", self.found))
            if value is not None
        )
        return f"{printable(self.path)}: {self.finding_class.value}{f' ({detail})' if detail else ''}"


class Contents(Record):
    """The files of a bundle, sorted by path, each path once."""

    files: tuple[FileRecord, ...]

    @model_validator(mode="after")
    def require_sorted_unique(self) -> Self:
        """Order is part of the format: the archive's members follow it."""
        paths = [file.path for file in self.files]
        if paths != sorted(paths):
            raise ValueError("files are not sorted by path")
        if len(set(paths)) != len(paths):
            raise ValueError("a path is listed twice")
        collisions = find_colliding(paths)
        if collisions:
            raise ValueError(f"paths name one file on some systems: {' and '.join(collisions[0])}")
        return self


def compare(expected: Iterable[FileRecord], found: Iterable[FileRecord]) -> list[Finding]:
    """Return every difference, sorted by path; an empty list means identical."""
    before = {record.path: record for record in expected}
    after = {record.path: record for record in found}
    findings = []
    for path in sorted(before.keys() | after.keys()):
        want, have = before.get(path), after.get(path)
        if have is None and want is not None:
            findings.append(make_finding(FindingClass.MISSING, want, None))
        elif want is None and have is not None:
            findings.append(make_finding(FindingClass.UNEXPECTED, None, have))
        elif want is not None and have is not None and (want.size, want.sha256) != (have.size, have.sha256):
            findings.append(make_finding(FindingClass.CHANGED, want, have))
    return findings


def make_finding(kind: FindingClass, want: FileRecord | None, have: FileRecord | None) -> Finding:
    """Return the finding for one path that is in at least one listing."""
    either = want or have
    assert either is not None
    return Finding(finding_class=kind, path=either.path, expected=describe_content(want), found=describe_content(have))


def describe_content(record: FileRecord | None) -> str | None:
    """Return digest and size in short form."""
    return None if record is None else describe_bytes(record.sha256, size=record.size)


def describe_bytes(sha256: str, *, size: int) -> str:
    """Return digest and size as every finding spells them."""
    return f"sha256 {sha256}, {size} bytes"


def describe_findings(headline: str, findings: Iterable[Finding]) -> str:
    """Return the headline and each finding on a line of its own."""
    return "\n".join([headline, *(f"  {finding.describe()}" for finding in findings)])
