"""Read the published archive's bundles: check them against the digests that exist, show what they hold."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hstu_preserve.digest_lists.digest_list import DigestList
from hstu_preserve.digest_lists.json_lists import parse_json_list
from hstu_preserve.digest_lists.markdown_lists import parse_markdown_list
from hstu_preserve.digest_lists.matching import FilePlace, find_listed, locate
from hstu_preserve.errors import ContentError
from hstu_preserve.legacy.contents import (
    MAX_TEXT_BYTES,
    choose_manifest,
    is_manifest_path,
    read_beginning,
)
from hstu_preserve.legacy.walker import LegacyWalker, open_legacy
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.strict_json import Json
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy import LegacyFile, LegacyOutcome, LegacyVerification, ListedFile
from hstu_preserve.records.manifest import MANIFEST_NAME

LIST_NAME = "MANIFEST.md"
MAX_PLACES = 5
NATIVE_KEYS = ({"schema_version", "run", "contents"}, {"schema_version", "kind", "contents"})
"""What only a manifest of this program has."""

NOT_CANONICAL = "order, owners and times of the members are not canonical: other archives hold the same files"
NOT_SIGNED = "nobody signed this"
MD5_ONLY = "md5 is no protection against intent"
NOT_LISTED = "the members are not listed: that none is missing cannot be known"
SELF_VOUCHED = "the digests lie in the archive that they vouch for: integrity only"
NO_RECIPE = "no recipe, data fingerprint or environment in a form that could be re-run"


@dataclass(frozen=True, kw_only=True)
class PublishedList:
    """A list that vouches for archives.

    Attributes:
        path: Where it is.
        sha256: Of its bytes, which the digests were read from.
        digests: What it says.
    """

    path: Path | ByteSource
    sha256: str
    digests: DigestList


@dataclass(kw_only=True)
class LegacyManifest:
    """The archive's own `MANIFEST.json`."""

    path: str
    value: Json
    digests: DigestList

    @property
    def folder(self) -> str:
        """What its paths are relative to."""
        return str(PurePosixPath(self.path).parent).removeprefix(".")


@dataclass(kw_only=True)
class Assessment:
    """What is gathered before the outcome is chosen."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    vouched: set[str] = field(default_factory=set)

    def report(self, kind: FindingClass, path: str, *, expected: str | None, found: str | None) -> None:
        """Add a finding."""
        self.findings.append(Finding(finding_class=kind, path=printable(path), expected=expected, found=found))


def verify_legacy(
    path: str | Path | ByteSource, *, md5_list: Path | ByteSource | None = None, place: FilePlace | None = None
) -> LegacyVerification:
    """Read a legacy archive whole, in the tolerant profile, and compare it with the digests that exist.

    Args:
        path: The archive.
        md5_list: The published list, Markdown or `md5sum` lines; None takes a `MANIFEST.md` beside the archive.
        place: Where the archive lies as seen from the list; None is where both are on this machine.

    Returns:
        Every difference, what was compared with what, and which guarantees are missing. Differences raise nothing.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: The list cannot be read or contradicts itself.
    """
    path = Path(path) if isinstance(path, str) else path
    published = read_md5_list(path, md5_list)
    assessment = Assessment()
    with open_legacy(path) as walker:
        texts = dict(read_texts(walker, is_manifest_path))
    assessment.findings += walker.findings
    manifest = read_legacy_manifest(texts, assessment=assessment)
    listed = find_listed(place or place_of(path, published), published.digests) if published else None
    is_list_agreed = compare_archive(walker, listed=listed, assessment=assessment)
    if manifest is not None and walker.is_whole:
        compare_members(walker.files, manifest=manifest, assessment=assessment)
    if published is not None and listed is None:
        assessment.notes.append(describe_unlisted(walker, published=published))
    is_all_vouched = manifest is not None and {file.path for file in walker.files} <= assessment.vouched | {
        manifest.path
    }
    is_vouched = is_list_agreed or (published is None and is_all_vouched and bool(assessment.vouched))
    if published is not None:
        assessment.notes += describe_unattributed(str(published.path), published.digests)
    if manifest is not None:
        assessment.notes += describe_unattributed(manifest.path, manifest.digests)
    if not is_vouched and (listed is None or is_list_agreed):
        assessment.notes.append(describe_doubt(walker.files, assessment=assessment))
    return LegacyVerification(
        source=str(path),
        outcome=choose_outcome(assessment.findings, is_vouched=is_vouched),
        md5=walker.md5,
        sha256=walker.sha256,
        files=tuple(walker.files),
        md5_list=str(published.path) if published else None,
        md5_list_sha256=published.sha256 if published else None,
        listed=listed,
        manifest=manifest.path if manifest else None,
        num_vouched=len(assessment.vouched),
        findings=tuple(assessment.findings),
        notes=tuple(assessment.notes),
        missing_guarantees=tuple(list_missing_guarantees(listed, manifest=manifest, is_list_agreed=is_list_agreed)),
    )


def choose_outcome(findings: list[Finding], *, is_vouched: bool) -> LegacyOutcome:
    """Return what the findings and digests come to."""
    if findings:
        return LegacyOutcome.REFUSED
    return LegacyOutcome.MATCHES if is_vouched else LegacyOutcome.UNVOUCHED


def place_of(path: Path | ByteSource, published: PublishedList) -> FilePlace:
    """Return where an archive lies as seen from a list."""
    if isinstance(path, Path) and isinstance(published.path, Path):
        return locate(path, digest_list=published.path)
    return FilePlace(path=path.name)


def read_md5_list(path: Path | ByteSource, md5_list: Path | ByteSource | None) -> PublishedList | None:
    """Return the list that was named, or else the one beside the archive where it holds digests.

    Raises:
        ContentError: The named list holds no digest, or a list contradicts itself.
    """
    beside = path.parent / LIST_NAME if isinstance(path, Path) else None
    chosen = md5_list or (beside if beside is not None and beside.is_file() else None)
    if chosen is None:
        return None
    content = read_list(chosen)
    found = parse_markdown_list(content, source=str(chosen))
    if not found.files and isinstance(md5_list, Path):
        raise ContentError(f"{chosen}: no line gives a file's md5")
    return PublishedList(path=chosen, sha256=sha256_of_bytes(content), digests=found) if found.files else None


def read_list(source: Path | ByteSource) -> bytes:
    """Return the content of a list."""
    if isinstance(source, Path):
        return read_bytes(source)
    with source.open() as stream:
        return stream.read()


def compare_archive(walker: LegacyWalker, *, listed: ListedFile | None, assessment: Assessment) -> bool:
    """Return whether the archive file is the listed one; report it where it is another."""
    if listed is None or walker.md5 is None or walker.sha256 is None:
        return False
    expected = describe_digests(listed.md5, listed.sha256, listed.size)
    found = describe_digests(
        walker.md5 if listed.md5 else None,
        walker.sha256 if listed.sha256 else None,
        None if listed.size is None else walker.input.size,
    )
    if expected != found:
        assessment.report(FindingClass.CHANGED, walker.source, expected=expected, found=found)
    return expected == found


def compare_members(files: Iterable[LegacyFile], *, manifest: LegacyManifest, assessment: Assessment) -> None:
    """Compare each member with what the archive's own manifest says of it."""
    by_path = {file.path: file for file in files}
    for listed in manifest.digests.files:
        path = find_member(listed.name, by_path, folder=manifest.folder)
        if path == manifest.path:
            assessment.notes.append(f"{manifest.path} gives a digest of itself, which is passed over")
            continue
        expected = describe_digests(listed.md5, listed.sha256, listed.size)
        if path is None:
            assessment.report(FindingClass.MISSING, listed.name, expected=expected, found=None)
            continue
        file = by_path[path]
        found = describe_digests(
            file.md5 if listed.md5 else None,
            file.sha256 if listed.sha256 else None,
            None if listed.size is None else file.size,
        )
        if expected != found:
            assessment.report(FindingClass.CHANGED, path, expected=expected, found=found)
        elif listed.has_digest:
            assessment.vouched.add(path)


def find_member(name: str, by_path: Mapping[str, LegacyFile], *, folder: str) -> str | None:
    """Return the member that a manifest names: by path, below the manifest's folder, or the only one of that name."""
    for path in (f"{folder}/{name}" if folder else name, name):
        if path in by_path:
            return path
    same = [path for path in by_path if "/" not in name and PurePosixPath(path).name == name]
    return same[0] if len(same) == 1 else None


def describe_digests(md5: str | None, sha256: str | None, size: int | None) -> str:
    """Return what is known, on one line."""
    parts = [f"md5 {md5}" if md5 else "", f"sha256 {sha256}" if sha256 else ""]
    return ", ".join([*filter(None, parts), *([f"{size} bytes"] if size is not None else [])])


def describe_unlisted(walker: LegacyWalker, *, published: PublishedList) -> str:
    """Say that the list has no such file, and under which name it has these bytes."""
    same = [file.name for file in published.digests.files if walker.md5 is not None and file.md5 == walker.md5]
    other = f"; it gives this md5 to {', '.join(same)}" if same else ""
    return f"{published.path} does not list {PurePosixPath(walker.source).name}{other}"


def describe_unattributed(source: str, digests: DigestList) -> list[str]:
    """Say where a list holds digests of nothing that it plainly names; they were compared with nothing."""
    if not digests.unattributed:
        return []
    places = ", ".join(digests.unattributed[:MAX_PLACES])
    more = len(digests.unattributed) - MAX_PLACES
    return [f"{source}: digests of nothing plainly named, not used: {places}{f' and {more} more' if more > 0 else ''}"]


def describe_doubt(files: Iterable[LegacyFile], *, assessment: Assessment) -> str:
    """Say for how much of the archive nothing vouches."""
    paths = [file.path for file in files]
    without = [path for path in paths if path not in assessment.vouched]
    if len(without) == len(paths):
        return "read whole, nothing vouches for it: no digest to compare with was found"
    return f"nothing vouches for {len(without)} of {len(paths)} members: {', '.join(without[:MAX_PLACES])}"


def list_missing_guarantees(
    listed: ListedFile | None, *, manifest: LegacyManifest | None, is_list_agreed: bool
) -> Iterator[str]:
    """Yield what a native bundle would promise and this archive cannot."""
    entries = manifest.digests.files if manifest else []
    if not (is_list_agreed and listed and listed.sha256) and not any(file.sha256 for file in entries):
        yield MD5_ONLY
    if not is_list_agreed and entries:
        yield SELF_VOUCHED
    if not entries:
        yield NOT_LISTED
    yield NOT_CANONICAL
    yield NOT_SIGNED
    yield NO_RECIPE


def read_texts(walker: LegacyWalker, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Walk the archive and yield path and content of the small members that are wanted."""
    for member in walker.members():
        if is_wanted(member.path):
            yield member.path, read_beginning(member)


def read_legacy_manifest(texts: Mapping[str, bytes], *, assessment: Assessment) -> LegacyManifest | None:
    """Return the archive's own manifest; report one that cannot be read, contradicts itself or is a native one."""
    path = choose_manifest(texts)
    if path is None:
        if texts:
            assessment.notes.append(f"several {MANIFEST_NAME}, so none speaks for the archive: {', '.join(texts)}")
        return None
    if len(texts[path]) > MAX_TEXT_BYTES:
        found = f"more than {MAX_TEXT_BYTES} bytes"
        assessment.report(FindingClass.BAD_MANIFEST, path, expected=None, found=found)
        return None
    try:
        value, digests = parse_json_list(texts[path], source=path)
    except ContentError as error:
        assessment.report(FindingClass.BAD_MANIFEST, path, expected=None, found=str(error))
        return None
    if isinstance(value, dict) and any(keys <= value.keys() for keys in NATIVE_KEYS):
        expected = "a native manifest as first member of a canonical archive"
        assessment.report(FindingClass.BAD_MANIFEST, path, expected=expected, found="one elsewhere")
    return LegacyManifest(path=path, value=value, digests=digests)
