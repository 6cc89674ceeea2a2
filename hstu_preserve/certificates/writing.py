"""Write a certificate beside a bundle, or add to the one that lies there; what others wrote stays as it is."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.tree import read_at_most
from hstu_preserve.certificates.checking import check_certificate
from hstu_preserve.certificates.envelopes import MAX_LINE_BYTES, MAX_LINES, sign_statement
from hstu_preserve.certificates.statements import ReproductionPredicate, make_statements
from hstu_preserve.errors import ContentError, UnavailableError, UsageError
from hstu_preserve.primitives.environment import digest_program
from hstu_preserve.primitives.files import write_atomically, write_new
from hstu_preserve.records.certificate import MAX_BYTES
from hstu_preserve.records.manifest import AnyManifest, CodeReference
from hstu_preserve.records.results import Reproduction

if TYPE_CHECKING:
    from hstu_preserve.signing.signer import SigningKey

STATEMENTS = 2
"""That one reproduction adds."""


@dataclass(frozen=True, kw_only=True)
class Certifier:
    """Signs what comes out of one reproduction.

    Attributes:
        key: Of who reproduces.
        path: The certificate, which may exist.
        manifest: Of the bundle.
        started_at: When the reproduction began.
    """

    key: "SigningKey"
    path: Path
    manifest: AnyManifest
    started_at: datetime

    def certify(self, reproduction: Reproduction, *, code: CodeReference) -> None:
        """Add the two statements about a reproduction to the certificate.

        The record's paths are cut to their names: where its maker keeps files is nobody's business.

        Raises:
            UsageError: What lies there is no certificate of the bundle.
            ContentError: The record is too long for a certificate.
            UnavailableError: It cannot be written.
        """
        name = reproduction.path.name
        predicate = ReproductionPredicate(
            reproduction=reproduction.model_copy(update={"target": name, "path": Path(name)}).spelled_as_text(),
            code=code,
            started_at=write_time(self.started_at),
            finished_at=write_time(datetime.now(UTC)),
        )
        statements = make_statements(predicate, manifest=self.manifest, program_sha256=digest_program())
        lines = [sign_statement(statement, key=self.key) for statement in statements]
        if any(len(line) > MAX_LINE_BYTES for line in lines):
            raise ContentError(
                f"{self.path}: not written; the record is longer than the {MAX_LINE_BYTES} bytes of a line"
            )
        assert reproduction.identity is not None
        append(self.path, lines, identity=reproduction.identity)


def write_time(moment: datetime) -> str:
    """Return a time as RFC 3339 writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(path: Path, lines: Sequence[bytes], *, identity: str) -> None:
    """Add lines to a certificate, which may exist; it is replaced whole, so that no reader sees half of it.

    Raises:
        UsageError: What lies there is no certificate of the bundle with this identity.
        UnavailableError: It cannot be written.
    """
    added = b"".join(lines)
    while True:
        if not os.path.lexists(path):
            with suppress(UsageError):  # another process was first, and this one adds to what it wrote
                write_new(path, added)
                return
        require_file(path)
        with hold(path) as is_held:
            if is_held:
                before = require_appendable(path, identity=identity)
                write_atomically(path, before + (b"" if before.endswith(b"\n") else b"\n") + added)
                return


def require_appendable(path: Path, *, identity: str) -> bytes:
    """Return what lies at the path, if statements about this bundle may be added to it; nothing if nothing is there.

    Raises:
        UsageError: It is no certificate, one of another bundle, a link, or full.
        UnavailableError: It cannot be read.
    """
    if not os.path.lexists(path):
        return b""
    require_file(path)
    check = check_certificate(path, identity=identity, trusted=None)
    if check.problem is not None:
        raise UsageError(f"{check.problem}; nothing is added to it: move it away, or name --output")
    content = read_at_most(path, max_bytes=MAX_BYTES)
    is_long = len(content) + STATEMENTS * MAX_LINE_BYTES > MAX_BYTES
    if is_long or len(check.attestations) + STATEMENTS > MAX_LINES:
        raise UsageError(f"{path}: as long as a certificate may be; move it away, or name --output")
    return content


def require_file(path: Path) -> None:
    """Raise UsageError if what lies at the path is no file: a link would be replaced, and its target left as it is."""
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{path}: not a certificate but a link, folder or device; move it away, or name --output")


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Keep another process from adding to a certificate meanwhile, if its file system can lock.

    Yields:
        False if the file was replaced before the lock was had, so that the lock is of a file that nobody reads.

    Raises:
        UnavailableError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        with suppress(OSError):  # a network share without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield os.path.lexists(path) and os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)
