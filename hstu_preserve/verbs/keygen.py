"""Make a pair of Ed25519 keys to sign bundles with."""

import os
from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.errors import MissingPathError, PreserveError, UnavailableError, UsageError
from hstu_preserve.primitives.files import flush_file
from hstu_preserve.records.signature import KeyResult

PUBLIC_SUFFIX = ".pub"


PRIVATE_MODE = 0o600


PUBLIC_MODE = 0o644


def keygen(output: str | Path, *, passphrase: str | None = None) -> KeyResult:
    """Write a new pair of Ed25519 keys: `output`, for its owner only, and beside it `output`.pub.

    Args:
        output: The private key's new file.
        passphrase: Encrypts the private key's file; None leaves it readable for everybody who has the file.

    Raises:
        UsageError: A file exists, or the passphrase is empty.
        UnavailableError: The directory cannot be written.
    """
    output = Path(output)
    from hstu_preserve.signing import signature

    if passphrase == "":
        raise UsageError("the passphrase is empty; leave it out where none is wanted")
    require_writable(output, option="--output")
    public = output.with_name(output.name + PUBLIC_SUFFIX)
    key = signature.generate_key()
    write_new(output, signature.encode_private_key(key, passphrase=passphrase), mode=PRIVATE_MODE)
    try:
        write_new(public, signature.encode_public_key(key.public_key()), mode=PUBLIC_MODE)
    except PreserveError:
        output.unlink(missing_ok=True)
        raise
    return KeyResult(
        path=output,
        public_path=public,
        keyid=signature.key_id(key.public_key()),
        is_encrypted=passphrase is not None,
    )


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that did not exist, never readable for others than `mode` says.

    Raises:
        UsageError: It exists.
        MissingPathError: There is no directory to put it in.
        UnavailableError: It cannot be written; nothing is left behind.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UsageError(f"{path}: exists; keys are never overwritten, name another file") from None
    except FileNotFoundError:
        raise MissingPathError(f"{path.parent}: no such directory") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            flush_file(stream.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written ({error.strerror})") from None
