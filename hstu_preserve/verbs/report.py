"""Write the preservation report: re-run the given targets, and list everything else that was published."""

import os
from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.destinations import require_new, require_writable
from hstu_preserve.certificates.checking import certificate_path, check_certificate
from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.errors import UsageError, worst_exit_code
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.library.targets import SAMPLE
from hstu_preserve.primitives.files import read_bytes, read_small, write_atomically, write_new
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.certificate import CertificateCheck
from hstu_preserve.records.results import ReportResult, Reproduction
from hstu_preserve.report.preservation_report import PREAMBLE, write_preservation_report
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verdict.rungs import list_failed

REPORT_NAME = "PRESERVATION_REPORT.md"
MAX_RECORD_BYTES = 2**24
MARK = PREAMBLE.partition(".")[0].encode()
"""How every report begins: with its heading and who generated it."""


def write_report(
    targets: Sequence[str] | None = None,
    *,
    markdown: str | Path = Path(REPORT_NAME),
    data: str | Path | None = None,
    device: str = "auto",
    voice: Voice = SILENT,
) -> ReportResult:
    """Reproduce the targets' evaluation rung and write the report.

    Args:
        targets: As `reproduce` takes them, or the `reproduction.json` of earlier calls; None takes the sample.
        markdown: The file to write; an earlier report there is replaced.
        data: A store, or for archives of others a folder of stores; None as `reproduce` has it.
        device: `auto`, `cpu` or `cuda`.
        voice: Shows progress; before a transfer begins, names the file and its size.

    Raises:
        UsageError: There is something else than an earlier report.
        PreserveError: A target cannot be re-run at all; nothing is written.
    """
    markdown = Path(markdown)
    before = read_earlier_report(markdown)
    chosen = targets or [SAMPLE]
    earlier = [read_earlier(Path(target)) for target in chosen]
    reproductions = [
        one or reproduce(target, data=data, device=device, voice=voice)
        for one, target in zip(earlier, chosen, strict=True)
    ]
    for one in reproductions:
        for verdict in list_failed(one.verdicts):
            voice.say(f"{one.target}: {verdict.rung.value} {verdict.outcome.value}: {verdict.reason}")
    environments = [one.environment for one in reproductions if one.environment is not None]
    catalog = list_experiments()
    content = write_preservation_report(
        listed=catalog.experiments,
        reproductions=reproductions,
        environment=environments[0] if environments else describe_this_machine(),
        certificates=[
            read_certificate_beside(one) if known is None else None
            for one, known in zip(reproductions, earlier, strict=True)
        ],
    ).encode(errors="backslashreplace")  # a target's path need not be text
    if before is None:
        write_new(markdown, content)
    else:
        require_unchanged(markdown, before=before)
        write_atomically(markdown, content)
    return ReportResult(
        path=markdown,
        experiments=len(catalog.experiments) + len(reproductions),
        reproduced=sum(one.exit_code == 0 for one in reproductions),
        is_changed=content != before,
        exit_code=worst_exit_code(one.exit_code for one in reproductions),
    )


def read_earlier(path: Path) -> Reproduction | None:
    """Return the record that an earlier `reproduce --output` wrote; None of any other target.

    Raises:
        ContentError: It is named as such a record and is none.
    """
    if path.suffix != ".json" or not path.is_file():
        return None
    return Reproduction.from_json(read_small(path, max_bytes=MAX_RECORD_BYTES), source=str(path))


def read_certificate_beside(one: Reproduction) -> CertificateCheck | None:
    """Return what lies as a certificate beside a bundle that was run here, None if nothing does; no key is trusted.

    Raises:
        UnavailableError: It cannot be read.
    """
    place = certificate_path(one.path)
    if one.identity is None or not os.path.lexists(place):
        return None
    return check_certificate(place, identity=one.identity, trusted=None)


def require_unchanged(path: Path, *, before: bytes) -> None:
    """Raise UsageError if the report that is to be replaced is no longer the one that was there."""
    if not path.is_file() or read_bytes(path) != before:
        raise UsageError(f"{path}: changed meanwhile, and was left as it is now; run the same command again")


def read_earlier_report(path: Path) -> bytes | None:
    """Return the report that will be replaced, None if nothing is there; any other file there is left alone.

    Raises:
        UsageError: There is no report of ours, or it would become part of a run, bundle or store.
        UnavailableError: It cannot be read or written.
    """
    if not path.is_file():
        require_new(path, option="--markdown")
        return None
    require_writable(path, option="--markdown")
    content = read_bytes(path)
    if not content.startswith(MARK):
        raise UsageError(f"{path}: exists and is no report that this command wrote; name another file with --markdown")
    return content
