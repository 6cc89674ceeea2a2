"""Verify bundles before they are pushed, and refuse those that may not travel."""

import os
from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.certificates.checking import certificate_path, read_content
from hstu_preserve.errors import ContentError, PreserveError, UnavailableError, UsageError, VerificationError
from hstu_preserve.library.sources import Source, find_here
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.publication.model_cards import describe_here, verify_whole
from hstu_preserve.publication.prepared import PreparedBundle, require_about
from hstu_preserve.publication.redistribution import require_redistributable
from hstu_preserve.records.signature import Envelope
from hstu_preserve.report.model_card import DescribedBundle
from hstu_preserve.signing.signer import signature_path


def prepare_all(bundles: Sequence[str | Path], *, voice: Voice = SILENT) -> list[PreparedBundle]:
    """Verify every bundle, and report all that are not fit to be pushed.

    Args:
        bundles: Packed bundles.
        voice: Shows how many of them are verified.
    """
    prepared: list[PreparedBundle] = []
    errors: list[PreserveError] = []
    for number, bundle in enumerate(bundles):
        voice.show(Progress(activity="verifying", completed=number, total=len(bundles)))
        try:
            prepared.append(prepare(find_here(str(bundle))))
        except PreserveError as error:
            errors.append(error)
    voice.show(Progress(activity="verifying", completed=len(bundles), total=len(bundles)))
    if errors:
        raise join_errors(errors)
    names = [one.described.name for one in prepared]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{', '.join(twice)}: named twice; a repository has one file of a name")
    return prepared


def join_errors(errors: Sequence[PreserveError]) -> PreserveError:
    """Return one error that says all; wrong content decides its kind, then a wrong request."""
    if len(errors) == 1:
        return errors[0]
    text = "\n".join(map(str, errors))
    if any(isinstance(error, ContentError) for error in errors):
        return VerificationError(text, findings=[one for error in errors for one in getattr(error, "findings", ())])
    return UsageError(text) if any(isinstance(error, UsageError) for error in errors) else UnavailableError(text)


def prepare(source: Source) -> PreparedBundle:
    """Return a bundle that is whole and may travel.

    Raises:
        UsageError: A directory or a legacy archive.
        ContentError: It is not what its manifest says, or holds what may not be redistributed; or what lies beside it
            is no certificate of it.
    """
    path = source.path
    if path.is_dir():
        raise UsageError(f"{path}: a directory; 'hstu-preserve pack' makes a bundle of it")
    verification = verify_whole(source)
    described = describe_here(path, verification)
    require_redistributable(path, described.record)
    place = signature_path(path)
    signature = read_bytes(place) if described.is_signed else None
    if signature is not None:
        require_signature_of(signature, described, place=place)
    certificate = read_certificate_beside(path, identity=described.identity)
    return PreparedBundle(path=path, described=described, signature=signature, certificate=certificate)


def read_certificate_beside(path: Path, *, identity: str) -> bytes | None:
    """Return the certificate beside a bundle, None if nothing lies there; who signed it is for its readers to check.

    Raises:
        ContentError: It is no certificate, or one of another bundle.
        UnavailableError: It cannot be read.
    """
    place = certificate_path(path)
    if not os.path.lexists(place):
        return None
    try:
        return require_about(read_content(place), identity, source=str(place))
    except ContentError as error:
        raise ContentError(f"{error}; it would be published with the bundle: move it away") from None


def require_signature_of(content: bytes, described: DescribedBundle, *, place: Path) -> None:
    """Raise ContentError if the signature that will travel is not the one that was looked at."""
    if sha256_of_bytes(Envelope.from_json(content, source=str(place)).manifest_content) != described.identity:
        raise ContentError(f"{place}: changed while it was read; nothing was pushed")
