"""Damage that ends the reading of an archive: one finding, carried as an error."""

from hstu_preserve.errors import ContentError
from hstu_preserve.records.contents import Finding, FindingClass


class DamagedError(ContentError):
    """The archive cannot be read beyond this point."""

    def __init__(self, kind: FindingClass, path: str, *, expected: str | None, found: str | None) -> None:
        self.finding = Finding(finding_class=kind, path=path, expected=expected, found=found)
        super().__init__(self.finding.describe())
