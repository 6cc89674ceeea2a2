"""Decide what can be said of a legacy archive that was read: its outcome, the notes, and the missing guarantees."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from hstu_preserve.digest_lists.digest_list import DigestList
from hstu_preserve.legacy.md5_lists import Md5List
from hstu_preserve.legacy.own_manifest import (
    MemberComparison,
    OwnManifest,
    compare_members,
    describe_expected,
    describe_found,
    make_finding,
)
from hstu_preserve.legacy.walker import LegacyWalker
from hstu_preserve.primitives.paths import is_companion
from hstu_preserve.primitives.wording import count, list_some, printable
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.legacy.outcomes import LegacyOutcome, ListedFile
from hstu_preserve.records.signature import NOBODY_SIGNED

MAX_PLACES = 5

NOT_CANONICAL = "order, owners and times of the members are not canonical: other archives hold the same files"
MD5_ONLY = "md5 is no protection against intent"
NOT_LISTED = "the members are not listed: that none is missing cannot be known"
SELF_VOUCHED = "the digests lie in the archive that they vouch for: integrity only"
NO_RECIPE = "no data fingerprint, no environment, and no claim that was fixed before the run"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A legacy archive, read once, beside the digests that exist.

    Attributes:
        archive: The walker that read it, at the end of its walk.
        md5_list: The list that the archive was looked up in; None if there is none.
        listed: The list's entry of the archive; None if it has none.
        own: The archive's own manifest.
    """

    archive: LegacyWalker
    md5_list: Md5List | None
    listed: ListedFile | None
    own: OwnManifest

    @cached_property
    def members(self) -> MemberComparison:
        """The members compared with the archive's own manifest, if all of them could be read."""
        return compare_members(self.archive.files, self.own) if self.archive.is_whole else MemberComparison()

    @cached_property
    def difference(self) -> Finding | None:
        """How the archive file differs from its entry in the list; None if it does not, or if there is no entry."""
        archive, listed = self.archive, self.listed
        if listed is None or archive.md5 is None or archive.sha256 is None:
            return None
        expected = describe_expected(listed)
        found = describe_found(listed, md5=archive.md5, sha256=archive.sha256, size=archive.input.size)
        if expected == found:
            return None
        return make_finding(FindingClass.CHANGED, archive.source, expected=expected, found=found)

    @property
    def is_as_listed(self) -> bool:
        """Whether the archive was read to its end and is the file that the list names."""
        return self.listed is not None and self.archive.is_whole and self.difference is None

    @property
    def is_vouched(self) -> bool:
        """Whether every byte is vouched for: by the list, or member by member if nobody has a list.

        A list that does not name the archive casts doubt on it, which the archive cannot dispel by itself.
        """
        if self.md5_list is not None:
            return self.is_as_listed
        others = {file.path for file in self.archive.files if not is_companion(file.path)} - {self.own.path}
        return bool(self.members.vouched) and others <= self.members.vouched

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong."""
        of_archive = () if self.difference is None else (self.difference,)
        return (*self.archive.findings, *self.own.findings, *of_archive, *self.members.findings)

    @property
    def outcome(self) -> LegacyOutcome:
        """The outcome that follows from findings and digests."""
        # One finding outweighs every digest that agrees: an archive that is damaged or unsafe matches nothing.
        if self.findings:
            return LegacyOutcome.REFUSED
        return LegacyOutcome.MATCHES if self.is_vouched else LegacyOutcome.UNVOUCHED

    def list_notes(self) -> Iterator[str]:
        """Yield what a reader should know that is no difference."""
        yield from describe_companions([*self.archive.passed_over, *(file.path for file in self.archive.files)])
        yield from self.own.notes
        yield from self.members.notes
        if self.md5_list is not None:
            if self.listed is None:
                yield describe_unlisted(self.archive, md5_list=self.md5_list)
            yield from describe_unattributed(str(self.md5_list.path), self.md5_list.digests)
        if self.own.path is not None:
            yield from describe_unattributed(self.own.path, self.own.digests)
        if self.listed is None and not self.is_vouched and self.archive.is_whole:
            yield self.describe_doubt()

    def describe_doubt(self) -> str:
        """Return for how much of the archive nothing vouches."""
        paths = [file.path for file in self.archive.files if not is_companion(file.path)]
        without = [path for path in paths if path not in self.members.vouched]
        if len(without) == len(paths):
            return "read whole, nothing vouches for it: no digest to compare with was found"
        named = list_some(without, at_most=MAX_PLACES)
        return f"nothing vouches for {len(without)} of {len(paths)} members: {named}"

    def list_missing_guarantees(self) -> Iterator[str]:
        """Yield what a native bundle would promise and this archive cannot."""
        entries = self.own.digests.files
        has_listed_sha256 = self.is_as_listed and self.listed is not None and self.listed.sha256 is not None
        if not has_listed_sha256 and not any(file.sha256 for file in entries):
            yield MD5_ONLY
        if entries and not self.is_as_listed:
            yield SELF_VOUCHED
        if not entries:
            yield NOT_LISTED
        yield NOT_CANONICAL
        yield NOBODY_SIGNED
        yield NO_RECIPE


def describe_companions(paths: Iterable[str]) -> Iterator[str]:
    """Yield that some members are companions, which hold attributes of other files."""
    companions = [path for path in paths if is_companion(path)]
    if companions:
        some = printable(list_some(companions, at_most=MAX_PLACES))
        yield f"{count(len(companions), 'companion')} of macOS, taken for nothing of the experiment: {some}"


def describe_unlisted(archive: LegacyWalker, *, md5_list: Md5List) -> str:
    """Return that a list has no entry of the archive, and the names under which it has the archive's bytes."""
    same = [file.name for file in md5_list.digests.files if archive.md5 is not None and file.md5 == archive.md5]
    other = f"; it gives this md5 to {', '.join(same)}" if same else ""
    return f"{md5_list.path} does not list {PurePosixPath(archive.source).name}{other}"


def describe_unattributed(source: str, digests: DigestList) -> Iterator[str]:
    """Yield where a list holds digests of nothing that it plainly names; they were compared with nothing."""
    if digests.unattributed:
        places = list_some(digests.unattributed, at_most=MAX_PLACES)
        yield f"{source}: digests of nothing plainly named, not used: {places}"
