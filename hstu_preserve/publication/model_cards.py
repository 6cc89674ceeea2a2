"""Gather the facts of a model card: of a bundle on this machine, or of a repository with one more bundle."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.errors import ContentError, UsageError, VerificationError
from hstu_preserve.legacy.recognition import describe_legacy
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.library.sources import Form, Source
from hstu_preserve.library.verification import verify_source
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.downloads import DigestKind
from hstu_preserve.records.manifest import AnyManifest
from hstu_preserve.records.signature import SIGNATURE_SUFFIX, SignerOutcome
from hstu_preserve.records.verification import Verification
from hstu_preserve.report.model_card import DescribedBundle, is_own_card, write_model_card

if TYPE_CHECKING:
    from hstu_preserve.hub.commits import HubWriter
    from hstu_preserve.records.downloads import PublishedFile, Snapshot

NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*({'|'.join(map(re.escape, ARCHIVE_SUFFIXES))})")
"""The names that a bundle on the Hub may have: those that no shell, address or renderer needs to escape."""


def write_card_of(source: Source) -> str:
    """Return the model card of one bundle or run directory, which is verified first.

    Raises:
        UsageError: A legacy archive, which says too little of itself.
        VerificationError: It is not what its manifest says.
    """
    return write_model_card([describe_here(source.path, verify_whole(source))], repository=None)


def verify_whole(source: Source, *, voice: Voice = SILENT) -> Verification:
    """Return the verification of a bundle that is whole, its signature included.

    Raises:
        VerificationError: It is a legacy archive, not what its manifest says, or its signature is not for it.
    """
    if source.form is Form.LEGACY:
        raise VerificationError(describe_legacy(source.path))
    verification = verify_source(source, trusted=None, voice=voice)
    if not verification.ok:
        raise VerificationError(verification.describe(), findings=verification.findings)
    return verification


def describe_here(path: Path, verification: Verification) -> DescribedBundle:
    """Return what a card says of a bundle on this machine."""
    record, signer = verification.manifest, verification.signer
    assert record is not None
    assert verification.identity is not None
    return DescribedBundle(
        name=require_name(path.name if path.is_file() else record.default_file_name, path=path),
        identity=verification.identity,
        record=record,
        sha256=verification.transport_sha256,
        size_bytes=path.stat().st_size if path.is_file() else None,
        is_signed=signer is not None and signer.outcome is not SignerOutcome.UNSIGNED,
        entry=find_entry(record),
    )


def require_name(name: str, *, path: Path) -> str:
    """Return a file's name if a bundle on the Hub may have it.

    Raises:
        UsageError: It may not.
    """
    if not is_name(name):
        raise UsageError(
            f"{path}: a published bundle is called by letters, digits, '.', '_' and '-' and ends in "
            f"{' or '.join(ARCHIVE_SUFFIXES)}; rename it"
        )
    return name


def is_name(name: str) -> bool:
    """Whether a bundle on the Hub may have this name."""
    return NAME.fullmatch(name) is not None


def find_entry(record: AnyManifest) -> CatalogEntry | None:
    """Return the catalog's entry for the id of a run; None if there is none."""
    return None if record.experiment_id is None else read_catalog().get(record.experiment_id)


def require_own_card(hub: "HubWriter", snapshot: "Snapshot") -> None:
    """Raise UsageError if a repository's card is somebody's own text."""
    from hstu_preserve.hub.publishing import CARD

    card = snapshot.find(CARD)
    if card is not None and not is_own_card(hub.read_file(snapshot, card).decode(errors="replace")):
        raise UsageError(
            f"{hub.url}: its {CARD} was written by somebody else, and publishing would replace it; "
            "rename it there, or name another repository"
        )


def write_repository_card(own: DescribedBundle, *, hub: "HubWriter", snapshot: "Snapshot") -> str:
    """Return the card of a repository with this bundle in it; what the others say is read at their beginning."""
    from hstu_preserve.hub.publishing import list_archives

    described, others = [own], []
    for file in list_archives(snapshot, suffixes=ARCHIVE_SUFFIXES):
        if file.path == own.name:
            continue
        there = describe_there(file, hub=hub, snapshot=snapshot) if is_name(file.path) else None
        if there is None:
            others.append(file.path)
        else:
            described.append(there)
    return write_model_card(described, repository=hub.repository, others=others)


def describe_there(file: "PublishedFile", *, hub: "HubWriter", snapshot: "Snapshot") -> DescribedBundle | None:
    """Return what a card says of an archive on the Hub, of which only the manifest is read; None of no bundle."""
    try:
        stored = read_stored_manifest(hub.make_source(snapshot, file))
    except ContentError:
        return None  # an archive that is no bundle is only named on the card
    is_in_lfs = file.kind is DigestKind.SHA256
    return DescribedBundle(
        name=file.path,
        identity=stored.identity,
        record=stored.record,
        sha256=file.etag if is_in_lfs else sha256_of_bytes(hub.read_file(snapshot, file)),
        size_bytes=file.size,
        is_signed=snapshot.find(f"{file.path}{SIGNATURE_SUFFIX}") is not None,
        entry=find_entry(stored.record),
    )
