"""Sign what a reproduction found, once it is known that the certificate can be written."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.bundle.layout import StoredManifest
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.results import Reproduction

if TYPE_CHECKING:
    from hstu_preserve.certificates.writing import Certifier
    from hstu_preserve.signing.signer import SigningKey


def take_key(key: str | Path | None, *, passphrase: str | None) -> "SigningKey | None":
    """Return the private key, None if none is named; it is read before anything else, since a re-run takes hours.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It needs a passphrase, another one, or none; or it is a public key.
        ContentError: It is no Ed25519 key.
    """
    if key is None:
        return None
    from hstu_preserve.signing.signature import read_private_key

    return read_private_key(Path(key), passphrase=passphrase)


def prepare_certificate(
    target: str, path: Path, stored: StoredManifest | None, key: "SigningKey | None", *, output: Path | None
) -> "Certifier | None":
    """Return what signs the outcome, None if no key is named, once it is known that the certificate can be written.

    Args:
        target: As the user typed it.
        path: Where the target is.
        stored: Its manifest; None if it has none.
        key: Of who reproduces.
        output: The folder that the certificate goes to; None is beside the target.

    Raises:
        UsageError: The target has no manifest that could be certified, its folder is no place for the certificate, or
            something else lies there.
        UnavailableError: It cannot be written.
    """
    if key is None:
        return None
    from hstu_preserve.certificates.checking import certificate_path
    from hstu_preserve.certificates.writing import Certifier, require_appendable

    if stored is None:
        raise UsageError(f"{target}: has no manifest that a certificate could be about; leave --key out")
    place = certificate_path(path)
    if output is not None:
        place = output / place.name
    elif path != Path(target):
        raise UsageError(f"{target}: lies among this program's own files; name a folder for its certificate: --output")
    else:
        require_writable(place, option="--output")
        require_appendable(place, identity=stored.identity)
    return Certifier(key=key, path=place, manifest=stored.record, started_at=datetime.now(UTC))


def certify(
    reproduction: Reproduction, certifier: "Certifier | None", *, output: Path | None, record_name: str, voice: Voice
) -> None:
    """Write the certificate, or say that nobody signed what is written.

    Args:
        reproduction: What was found.
        certifier: Signs it; None if no key is named.
        output: The output directory as the user named it; None keeps nothing.
        record_name: Of the file in it that is not signed.
        voice: Says where the certificate is.

    Raises:
        UsageError: Something else came into being under the certificate's name.
        ContentError: The record is too long to be signed.
        UnavailableError: It cannot be written.
    """
    if certifier is not None:
        assert reproduction.code is not None  # only records of before it was kept have none
        certifier.certify(reproduction, code=reproduction.code)
        voice.say(f"certificate: {(output or certifier.path.parent) / certifier.path.name}")
    elif output is not None:
        voice.say(f"{output / record_name}: unsigned, so that it proves nothing to others; --key signs a certificate")
