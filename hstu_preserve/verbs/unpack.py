"""Unpack a bundle into a new directory, verified while it is written."""

import re
from pathlib import Path

from hstu_preserve.bundle import extraction
from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.legacy.recognition import describe_legacy
from hstu_preserve.library.sources import Form, obtain
from hstu_preserve.primitives.archive_names import BUNDLE_SUFFIX
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import UnpackResult


def unpack(
    target: str | Path,
    *,
    output: Path | None = None,
    identity: str | None = None,
    voice: Voice = SILENT,
) -> UnpackResult:
    """Write a bundle's files into a new directory, if every byte is the packed one.

    Args:
        target: A bundle, `sample`, a catalog id or an `hf://` address; it is fetched if it is not here.
        output: The new directory; None names it after the file, in the current directory.
        identity: The sha256 that its manifest must have, with or without `sha256:` before; None for any.
        voice: Shows the transfer, in bytes; before it begins, names the file and its size.

    Raises:
        UsageError: The output exists, the target is a directory, or the identity is no sha256.
        VerificationError: The bundle differs from its manifest; nothing is left behind.
    """
    if output is not None:
        require_writable(output, option="--output")
    source = obtain(str(target), voice=voice)
    destination = output or Path(source.path.name.removesuffix(BUNDLE_SUFFIX))
    require_writable(destination, option="--output")
    expected = None if identity is None else read_identity(identity)
    if source.form is Form.LEGACY:
        raise VerificationError(describe_legacy(source.path))
    verification = extraction.unpack(
        source.path, destination=destination, expected_identity=expected, known=source.stored, voice=voice
    )
    assert verification.identity is not None
    return UnpackResult(path=destination, identity=verification.identity, members=verification.members_checked)


def read_identity(text: str) -> str:
    """Return the digest of an identity as people write it.

    Raises:
        UsageError: It is none.
    """
    digest = text.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"{text}: not an identity; it is 64 hexadecimal digits, as 'verify' and 'show' print it")
    return digest
