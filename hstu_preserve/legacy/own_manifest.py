"""Read the `MANIFEST.json` that a legacy archive has of itself, and compare the archive's members with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hstu_preserve.digest_lists.digest_list import DigestList
from hstu_preserve.digest_lists.json_lists import parse_json_list
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy.outcomes import LegacyFile, ListedFile
from hstu_preserve.records.manifest import MANIFEST_NAME

NATIVE_KEYS = ({"schema_version", "run", "contents"}, {"schema_version", "kind", "contents"})
"""Together, these keys stand only in manifests of this program."""

MAX_TEXT_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class OwnManifest:
    """The `MANIFEST.json` of an archive, as far as it speaks for the archive.

    Attributes:
        path: Where it lies; None if there is none, if there are several, or if the one cannot be read.
        digests: The digests it gives of the archive's members.
        findings: Everything that is wrong with it.
        notes: Why it does not speak for the archive, though nothing is wrong.
    """

    path: str | None = None
    digests: DigestList = field(default_factory=DigestList)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder that its paths are relative to."""
        return "" if self.path is None else str(PurePosixPath(self.path).parent).removeprefix(".")


@dataclass(kw_only=True)
class MemberComparison:
    """The result of comparing an archive's members with its own manifest.

    Attributes:
        vouched: Members whose digest is as the manifest gives it.
        findings: Members that differ or are missing.
        notes: Entries that were passed over.
    """

    vouched: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_own_manifest(texts: Mapping[str, bytes]) -> OwnManifest:
    """Return the archive's own manifest, chosen among its members of that name."""
    path = choose_manifest(texts)
    if path is None:
        several = f"several {MANIFEST_NAME}, so none speaks for the archive: {', '.join(texts)}"
        return OwnManifest(notes=(several,) if texts else ())
    if len(texts[path]) > MAX_TEXT_BYTES:
        return OwnManifest(findings=(bad_manifest(path, found=f"more than {MAX_TEXT_BYTES} bytes"),))
    try:
        value, digests = parse_json_list(texts[path], source=path)
    except ContentError as error:
        return OwnManifest(findings=(bad_manifest(path, found=str(error)),))
    if not is_native(value):
        return OwnManifest(path=path, digests=digests)
    # A damaged or repacked bundle of this program must not pass for a legacy archive, of which less is asked.
    expected = "a native manifest as first member of a canonical archive"
    elsewhere = bad_manifest(path, expected=expected, found="one elsewhere")
    return OwnManifest(path=path, digests=digests, findings=(elsewhere,))


def is_native(value: Json) -> bool:
    """Whether a JSON value has the keys of this program's manifests."""
    return isinstance(value, dict) and any(keys <= value.keys() for keys in NATIVE_KEYS)


def bad_manifest(path: str, *, expected: str | None = None, found: str) -> Finding:
    """Return the finding that an archive's own manifest is not fit to speak for it."""
    return make_finding(FindingClass.BAD_MANIFEST, path, expected=expected, found=found)


def make_finding(kind: FindingClass, path: str, *, expected: str | None, found: str | None) -> Finding:
    """Return a finding on a path from outside, which a terminal may not be able to show as it is."""
    return Finding(finding_class=kind, path=printable(path), expected=expected, found=found)


def compare_members(files: Iterable[LegacyFile], own: OwnManifest) -> MemberComparison:
    """Compare each member with the entry that the archive's own manifest has of it."""
    by_path = {file.path: file for file in files}
    comparison = MemberComparison()
    for listed in own.digests.files:
        path = find_member(listed.name, by_path, folder=own.folder)
        if path is None:
            expected = describe_expected(listed)
            missing = make_finding(FindingClass.MISSING, listed.name, expected=expected, found=None)
            comparison.findings.append(missing)
        elif path == own.path:
            # A digest of the file that it stands in can only be of an earlier version of that file.
            comparison.notes.append(f"{path} gives a digest of itself, which is passed over")
        elif changed := find_change(listed, by_path[path]):
            comparison.findings.append(changed)
        elif listed.has_digest:
            comparison.vouched.add(path)
    return comparison


def find_change(listed: ListedFile, file: LegacyFile) -> Finding | None:
    """Return how a member differs from its entry; None if it does not."""
    expected = describe_expected(listed)
    found = describe_found(listed, md5=file.md5, sha256=file.sha256, size=file.size)
    if expected == found:
        return None
    return make_finding(FindingClass.CHANGED, file.path, expected=expected, found=found)


def find_member(name: str, by_path: Mapping[str, LegacyFile], *, folder: str) -> str | None:
    """Return the member that a manifest names: by path, below the manifest's folder, or the only one of that name."""
    for path in (f"{folder}/{name}" if folder else name, name):
        if path in by_path:
            return path
    same = [path for path in by_path if "/" not in name and PurePosixPath(path).name == name]
    return same[0] if len(same) == 1 else None


def describe_expected(listed: ListedFile) -> str:
    """Return everything that a list says of a file, on one line."""
    return describe_digests(listed.md5, listed.sha256, listed.size)


def describe_found(listed: ListedFile, *, md5: str, sha256: str, size: int) -> str:
    """Return the same of the file that was read, in as many figures as the list gives."""
    return describe_digests(
        md5 if listed.md5 else None,
        sha256 if listed.sha256 else None,
        None if listed.size is None else size,
    )


def describe_digests(md5: str | None, sha256: str | None, size: int | None) -> str:
    """Return digests and size as text, as far as they are given."""
    parts = [f"md5 {md5}" if md5 else "", f"sha256 {sha256}" if sha256 else ""]
    return ", ".join([*filter(None, parts), *([f"{size} bytes"] if size is not None else [])])


def choose_manifest(paths: Iterable[str]) -> str | None:
    """Return the one at the top, or the only one a folder below; None if there is none or several."""
    ordered = sorted(paths, key=lambda path: path.count("/"))
    is_one = len(ordered) == 1 or (ordered and ordered[0] == MANIFEST_NAME)
    return ordered[0] if is_one else None
