"""Verify a legacy archive: read it once and compare it with every digest that exists."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.digest_lists.matching import FilePlace
from hstu_preserve.legacy.assessment import Assessment
from hstu_preserve.legacy.contents import LegacyContents, LegacyReading
from hstu_preserve.legacy.md5_lists import read_md5_list
from hstu_preserve.legacy.own_manifest import read_own_manifest
from hstu_preserve.legacy.reported import judge_reported
from hstu_preserve.legacy.walker import open_legacy, show_reading
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.legacy.verification import LegacyVerification


@dataclass(frozen=True, kw_only=True)
class InspectedLegacy:
    """A legacy archive that was read once: how its bytes compare with the digests, and what its files say."""

    verification: LegacyVerification
    contents: LegacyContents


def verify_legacy(
    path: str | Path | ByteSource,
    *,
    md5_list: str | Path | ByteSource | None = None,
    place: FilePlace | None = None,
    entry: CatalogEntry | None = None,
    voice: Voice = SILENT,
) -> LegacyVerification:
    """Read a legacy archive whole, in the tolerant profile, and compare it with the digests that exist.

    Args:
        path: The archive.
        md5_list: Markdown, JSON or lines of checksum tools; None takes a `MANIFEST.md` beside the archive.
        place: Where the archive lies as seen from the list; None if both are on this machine.
        entry: The catalog's, if the archive is a published experiment's.
        voice: Shows how much of an archive on this machine was read.

    Returns:
        Every difference, what was compared with what, which guarantees are missing, and whether the numbers that are
        reported are those that the run wrote down. Differences raise nothing.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: The list cannot be read or contradicts itself.
    """
    return inspect_legacy(path, md5_list=md5_list, place=place, entry=entry, voice=voice).verification


def inspect_legacy(
    path: str | Path | ByteSource,
    *,
    md5_list: str | Path | ByteSource | None = None,
    place: FilePlace | None = None,
    entry: CatalogEntry | None = None,
    voice: Voice = SILENT,
) -> InspectedLegacy:
    """Return what `verify_legacy` finds together with what the archive's files say, from the same pass."""
    archive = Path(path) if isinstance(path, str) else path
    chosen = Path(md5_list) if isinstance(md5_list, str) else md5_list
    found_list = read_md5_list(archive, chosen)  # first: it is small, and may be refused
    with open_legacy(archive, listen=show_reading(archive, "verifying", voice=voice)) as walker:
        reading = LegacyReading()
        for member in walker.members():
            reading.take(member)
    assessment = Assessment(
        archive=walker,
        md5_list=found_list,
        listed=None if found_list is None else found_list.find(archive, place=place),
        own=read_own_manifest(reading.manifests),
    )
    contents = reading.finish()
    verification = record_assessment(assessment, source=str(archive), contents=contents, entry=entry)
    return InspectedLegacy(verification=verification, contents=contents)


def record_assessment(
    assessment: Assessment, *, source: str, contents: LegacyContents, entry: CatalogEntry | None
) -> LegacyVerification:
    """Return the record of an archive's verification; numbers of an archive with other bytes mean nothing."""
    archive, md5_list = assessment.archive, assessment.md5_list
    return LegacyVerification(
        source=source,
        outcome=assessment.outcome,
        md5=archive.md5,
        sha256=archive.sha256,
        files=tuple(archive.files),
        md5_list=str(md5_list.path) if md5_list else None,
        md5_list_sha256=md5_list.sha256 if md5_list else None,
        listed=assessment.listed,
        manifest=assessment.own.path,
        num_vouched=len(assessment.members.vouched),
        findings=assessment.findings,
        notes=tuple(assessment.list_notes()),
        missing_guarantees=tuple(assessment.list_missing_guarantees()),
        recorded=() if assessment.findings else judge_reported(contents, entry=entry),
    )
