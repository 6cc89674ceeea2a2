"""Record the verification of a legacy archive."""

from hstu_preserve.errors import NotReproducedError, worst_exit_code
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.legacy.outcomes import LegacyFile, LegacyOutcome, ListedFile, Md5
from hstu_preserve.records.record import Record
from hstu_preserve.records.verdict import Outcome, Verdict

EXIT_CODES = {LegacyOutcome.MATCHES: 0, LegacyOutcome.REFUSED: 3, LegacyOutcome.UNVOUCHED: 6}


class LegacyVerification(Record):
    """The outcome of reading a legacy archive once, front to back, in the tolerant profile."""

    source: str
    outcome: LegacyOutcome
    md5: Md5 | None
    """Of the archive file; None where reading stopped before the end."""
    sha256: Sha256 | None
    """Of the archive file: note it, nobody has published one."""
    files: tuple[LegacyFile, ...]
    """In the archive's order."""
    md5_list: str | None
    """The list that the archive was looked up in."""
    md5_list_sha256: Sha256 | None
    listed: ListedFile | None
    """What that list says of the archive."""
    manifest: str | None
    """The archive's own `MANIFEST.json`, where it has one."""
    num_vouched: int
    """Members that the archive's own manifest gives a digest for, and which agree."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    missing_guarantees: tuple[str, ...]
    """What a native bundle would promise and this archive cannot."""
    recorded: tuple[Verdict, ...] = ()
    """Whether the reported numbers are those that the run wrote down; empty where anything is wrong with the bytes."""

    @property
    def exit_code(self) -> int:
        """What the command line returns: by the bytes, and 5 where a reported number is not the recorded one."""
        differs = any(verdict.outcome is Outcome.NOT_REPRODUCED for verdict in self.recorded)
        return worst_exit_code([EXIT_CODES[self.outcome], NotReproducedError.exit_code if differs else 0])
