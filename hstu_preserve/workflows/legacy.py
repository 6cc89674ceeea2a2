"""Read the published archive's bundles: check them against the digests that exist, show what they hold."""

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, CONFIG_FOLDER, describe_findings, printable
from hstu_preserve.bundle.legacy import LegacyMember, LegacyWalker, open_legacy
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.gin_recipes.legacy_chains import describe_chains
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.strict_json import Json, strict_loads
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy import (
    LegacyFile,
    LegacyOutcome,
    LegacyVerification,
    ListedFile,
    ShownCheckpoint,
    ShownCurve,
    ShownLegacy,
)
from hstu_preserve.records.legacy_lists import DigestList, parse_json_list, parse_markdown_list
from hstu_preserve.records.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LIST_NAME = "MANIFEST.md"
GIN_SUFFIX = ".gin"
BUNDLE_SUFFIXES = (".tar.gz", ".tgz")
EVENTS_MARK = ".tfevents."
EPOCH = re.compile(r"_ep(?P<epoch>[0-9]{1,9})$")
MAX_TEXT_BYTES = 4 * 2**20
MAX_GIN_BYTES = 2**20
MAX_GIN_FILES = 256
MAX_TAGS = 1000
MAX_PLACES = 5

NOT_CANONICAL = "order, owners and times of the members are not canonical: other archives hold the same files"
NOT_SIGNED = "nobody signed this"
MD5_ONLY = "md5 is no protection against intent"
NOT_LISTED = "the members are not listed: that none is missing cannot be known"
SELF_VOUCHED = "the digests lie in the archive that they vouch for: integrity only"
NO_RECIPE = "no recipe, data fingerprint or environment in a form that could be re-run"


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


def verify_legacy(path: str | Path, *, md5_list: Path | None = None) -> LegacyVerification:
    """Read a legacy archive whole, in the tolerant profile, and compare it with the digests that exist.

    Args:
        path: The archive.
        md5_list: The published list, Markdown or `md5sum` lines; None takes a `MANIFEST.md` beside the archive.

    Returns:
        Every difference, what was compared with what, and which guarantees are missing. Differences raise nothing.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
        ContentError: The list cannot be read or contradicts itself.
    """
    path = Path(path)
    list_path, digests = read_md5_list(path, md5_list)
    assessment = Assessment()
    with open_legacy(path) as walker:
        texts = dict(read_texts(walker, is_manifest_path))
    assessment.findings += walker.findings
    manifest = read_legacy_manifest(texts, assessment=assessment)
    listed = find_listed(path.name, digests) if digests else None
    is_list_agreed = compare_archive(walker, listed=listed, assessment=assessment)
    if manifest is not None and walker.is_whole:
        compare_members(walker.files, manifest=manifest, assessment=assessment)
    if digests and listed is None:
        assessment.notes.append(describe_unlisted(walker, list_path=list_path, digests=digests))
    is_all_vouched = manifest is not None and {file.path for file in walker.files} <= assessment.vouched | {
        manifest.path
    }
    is_vouched = is_list_agreed or (not digests and is_all_vouched and bool(assessment.vouched))
    assessment.notes += describe_unattributed(str(list_path), digests)
    if manifest is not None:
        assessment.notes += describe_unattributed(manifest.path, manifest.digests)
    if not is_vouched:
        assessment.notes.append(describe_doubt(walker.files, assessment=assessment))
    return LegacyVerification(
        source=str(path),
        outcome=choose_outcome(assessment.findings, is_vouched=is_vouched),
        md5=walker.md5,
        sha256=walker.sha256,
        files=tuple(walker.files),
        md5_list=str(list_path) if list_path else None,
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


def read_md5_list(path: Path, md5_list: Path | None) -> tuple[Path | None, DigestList | None]:
    """Return the list that was named, or else the one beside the archive where it holds digests.

    Raises:
        ContentError: The named list holds no digest, or a list contradicts itself.
    """
    beside = path.parent / LIST_NAME
    chosen = md5_list or (beside if beside.is_file() else None)
    if chosen is None:
        return None, None
    found = parse_markdown_list(read_bytes(chosen), source=str(chosen))
    if not found.files and md5_list is not None:
        raise ContentError(f"{chosen}: no line gives a file's md5")
    return (chosen, found) if found.files else (None, None)


def find_listed(name: str, digests: DigestList) -> ListedFile | None:
    """Return what the list says of the archive, by file name, with or without its suffix.

    Raises:
        ContentError: Several entries name the file and contradict each other.
    """
    same = [file for file in digests.files if strip_suffix(PurePosixPath(file.name).name) == strip_suffix(name)]
    exact = [file for file in same if PurePosixPath(file.name).name == name] or same
    if len({(file.md5, file.sha256) for file in exact}) > 1:
        places = ", ".join(file.place for file in exact)
        raise ContentError(f"{name}: the list gives it several digests ({places})")
    return exact[0] if exact else None


def strip_suffix(name: str) -> str:
    """Return an archive's name without `.tar.gz`."""
    return next((name.removesuffix(suffix) for suffix in BUNDLE_SUFFIXES if name.endswith(suffix)), name)


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


def describe_unlisted(walker: LegacyWalker, *, list_path: Path | None, digests: DigestList) -> str:
    """Say that the list has no such file, and under which name it has these bytes."""
    same = [file.name for file in digests.files if walker.md5 is not None and file.md5 == walker.md5]
    other = f"; it gives this md5 to {', '.join(same)}" if same else ""
    return f"{list_path} does not list {PurePosixPath(walker.source).name}{other}"


def describe_unattributed(source: str, digests: DigestList | None) -> list[str]:
    """Say where a list holds digests of nothing that it plainly names; they were compared with nothing."""
    if digests is None or not digests.unattributed:
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


def is_manifest_path(path: str) -> bool:
    """Whether a member may be the archive's own manifest: at its top, or in the one folder that it was made of."""
    return PurePosixPath(path).name == MANIFEST_NAME and path.count("/") <= 1


def read_texts(walker: LegacyWalker, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Walk the archive and yield path and content of the small members that are wanted."""
    for member in walker.members():
        if is_wanted(member.path):
            yield member.path, read_beginning(member)


def read_beginning(member: LegacyMember) -> bytes:
    """Return the member's content, of one that is too large only so much that this is seen."""
    content = bytearray()
    for chunk in member.chunks:
        content += chunk
        if len(content) > MAX_TEXT_BYTES:
            break
    return bytes(content)


def choose_manifest(paths: Iterable[str]) -> str | None:
    """Return the one at the top, or the only one a folder below; None where there is none or several."""
    ordered = sorted(paths, key=lambda path: path.count("/"))
    is_one = len(ordered) == 1 or (ordered and ordered[0] == MANIFEST_NAME)
    return ordered[0] if is_one else None


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
    if isinstance(value, dict) and {"schema_version", "run", "contents"} <= value.keys():
        expected = "a native manifest as first member of a canonical archive"
        assessment.report(FindingClass.BAD_MANIFEST, path, expected=expected, found="one elsewhere")
    return LegacyManifest(path=path, value=value, digests=digests)


def show_legacy(path: Path, *, target: str) -> ShownLegacy:
    """Return what a legacy archive holds, its gin names told apart and its curves read, in one pass.

    Raises:
        MissingPathError: There is no such file.
        VerificationError: The archive is damaged or holds what no archive may; everything is named.
    """
    gins: dict[str, bytes] = {}
    manifests: dict[str, bytes] = {}
    curves: list[ShownCurve] = []
    problems: list[str] = []
    with open_legacy(path) as walker:
        for member in walker.members():
            if is_manifest_path(member.path):
                manifests[member.path] = read_beginning(member)
            elif member.path.endswith(GIN_SUFFIX):
                if member.size > MAX_GIN_BYTES or len(gins) == MAX_GIN_FILES:
                    problems.append(f"{member.path}: larger than {MAX_GIN_BYTES} bytes or after {MAX_GIN_FILES} others")
                else:
                    gins[member.path] = b"".join(member.chunks)
            elif EVENTS_MARK in PurePosixPath(member.path).name:
                curves += read_curves(member, problems=problems)
    if walker.findings or walker.md5 is None or walker.sha256 is None:
        raise VerificationError(describe_findings(f"{path}: cannot be shown (tolerant profile)", walker.findings))
    manifest_path = choose_manifest(manifests)
    return ShownLegacy(
        target=target,
        source=str(path),
        md5=walker.md5,
        sha256=walker.sha256,
        files=tuple(walker.files),
        manifest_path=manifest_path,
        manifest=None if manifest_path is None else read_json(manifests[manifest_path], manifest_path, problems),
        chains=describe_chains(gins, root=find_config_root(gins)),
        checkpoints=tuple(describe_checkpoint(file) for file in walker.files if is_checkpoint(file.path)),
        curves=tuple(curves),
        problems=tuple(problems),
    )


def read_json(content: bytes, path: str, problems: list[str]) -> Json:
    """Return the value, or None with a problem noted."""
    try:
        return strict_loads(content, source=path)
    except ContentError as error:
        problems.append(str(error))
        return None


def read_curves(member: LegacyMember, *, problems: list[str]) -> list[ShownCurve]:
    """Return each tag of an event file with its last value; of a damaged file none, and the damage as a problem."""
    from hstu_preserve.event_files.reader import ScalarPoint, iterate_scalars

    last: dict[str, ScalarPoint] = {}
    counts: Counter[str] = Counter()
    try:
        for point in iterate_scalars(io.BufferedReader(ChunkStream(member.chunks)), source=member.path):
            last[point.tag] = point
            counts[point.tag] += 1
            if len(last) > MAX_TAGS:
                problems.append(f"{member.path}: more than {MAX_TAGS} tags")
                return []
    except ContentError as error:
        problems.append(str(error))
        return []
    return [
        ShownCurve(
            file=member.path,
            tag=printable(tag),
            num_points=counts[tag],
            last_step=point.step,
            last_value=point.value if math.isfinite(point.value) else None,
        )
        for tag, point in last.items()
    ]


class ChunkStream(io.RawIOBase):
    """A member's content as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer from the next chunk."""
        if not self.rest:
            self.rest = memoryview(next(self.chunks, b""))
        target = memoryview(buffer)
        size = min(len(target), len(self.rest))
        target[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size


def find_config_root(paths: Iterable[str]) -> str:
    """Return the folder that all gin files lie in, which includes are also looked up in."""
    folders = [PurePosixPath(path).parent for path in paths]
    for path in folders:
        if path.name == CONFIG_FOLDER:
            return str(path)
    return "."


def is_checkpoint(path: str) -> bool:
    """Whether a member lies among the checkpoints."""
    return CHECKPOINT_FOLDER in PurePosixPath(path).parts[:-1]


def describe_checkpoint(file: LegacyFile) -> ShownCheckpoint:
    """Return a checkpoint with the epoch that its name gives."""
    match = EPOCH.search(PurePosixPath(file.path).name)
    return ShownCheckpoint(path=file.path, size=file.size, epoch=int(match["epoch"]) if match else None)
