"""Show what a legacy archive holds, in one pass."""

from pathlib import Path

from hstu_preserve.errors import VerificationError
from hstu_preserve.legacy.contents import read_contents
from hstu_preserve.legacy.walker import open_legacy
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.records.contents import describe_findings
from hstu_preserve.records.legacy.shown import ShownLegacy


def show_legacy(path: Path | ByteSource, *, target: str) -> ShownLegacy:
    """Return what a legacy archive holds, its gin names told apart and its curves read, in one pass.

    Raises:
        MissingPathError: There is no such file.
        VerificationError: The archive is damaged or holds what no archive may; everything is named.
    """
    with open_legacy(path) as walker:
        contents = read_contents(walker.members())
    if walker.findings or walker.md5 is None or walker.sha256 is None:
        headline = f"{path}: cannot be shown (tolerant profile)"
        raise VerificationError(describe_findings(headline, walker.findings), findings=walker.findings)
    return ShownLegacy(
        target=target,
        source=str(path),
        md5=walker.md5,
        sha256=walker.sha256,
        files=tuple(walker.files),
        manifest_path=contents.manifest_path,
        manifest=contents.manifest,
        chains=contents.chains,
        checkpoints=contents.checkpoints,
        curves=contents.curves,
        problems=contents.problems,
    )
