"""Unpack a bundle into a new directory, verified while it is written."""

import re
import sys
from pathlib import Path, PurePosixPath

from hstu_preserve.bundle import extraction
from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.legacy.recognition import describe_legacy
from hstu_preserve.library.sources import Form, obtain
from hstu_preserve.library.standard_input import STANDARD_INPUT
from hstu_preserve.primitives.archive_names import BUNDLE_SUFFIX
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import UnpackResult


def unpack(
    target: str | Path,
    *,
    output: str | Path | None = None,
    identity: str | None = None,
    voice: Voice = SILENT,
) -> UnpackResult:
    """Write a bundle's files into a new directory, if every byte is the packed one.

    Args:
        target: A bundle, `-` for one on standard input, `sample`, a catalog id or an `hf://` address; it is fetched if
            it is not here.
        output: The new directory; None names it after the file, in the current directory.
        identity: The sha256 that its manifest must have, with or without `sha256:` before; None for any.
        voice: Shows the transfer, in bytes; before it begins, names the file and its size.

    Raises:
        UsageError: The output exists, the target is a directory, or the identity is no sha256.
        VerificationError: The bundle differs from its manifest; nothing is left behind.
    """
    output = as_path(output)
    if output is not None:
        require_writable(output, option="--output")
    if str(target) == STANDARD_INPUT:
        return unpack_stream(output=output, identity=identity)
    source = obtain(str(target), voice=voice)
    name = source.path.name if source.copy is None else PurePosixPath(source.copy.receipt.path).name
    destination = output or Path(name.removesuffix(BUNDLE_SUFFIX))
    require_writable(destination, option="--output")
    expected = None if identity is None else read_identity(identity)
    if source.form is Form.LEGACY:
        raise VerificationError(describe_legacy(source.path))
    verification = extraction.unpack(
        source.path, destination=destination, expected_identity=expected, known=source.stored, voice=voice
    )
    assert verification.identity is not None
    return UnpackResult(path=destination, identity=verification.identity, members=verification.members_checked)


def unpack_stream(*, output: Path | None, identity: str | None) -> UnpackResult:
    """Write the files of a bundle that comes over standard input.

    Raises:
        UsageError: No output, which a stream gives no name to.
        VerificationError: The bundle differs from its manifest; nothing is left behind.
    """
    if output is None:
        raise UsageError(f"{STANDARD_INPUT}: a stream has no name; name the new directory with --output")
    expected = None if identity is None else read_identity(identity)
    verification = extraction.unpack(sys.stdin.buffer, destination=output, expected_identity=expected)
    assert verification.identity is not None
    return UnpackResult(path=output, identity=verification.identity, members=verification.members_checked)


def read_identity(text: str) -> str:
    """Return the digest of an identity as people write it.

    Raises:
        UsageError: It is none.
    """
    digest = text.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"{text}: not an identity; it is 64 hexadecimal digits, as 'verify' and 'show' print it")
    return digest
