"""Compose the preservation report, which is a page as Markdown: what was judged, and all that was published."""

from collections.abc import Sequence

from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.pages.judged import Judged
from hstu_preserve.report.preservation_report import PREAMBLE, write_preservation_report

REPORT_NAME = "PRESERVATION_REPORT.md"
MARK = PREAMBLE.partition(".")[0].encode()
"""How every report begins: with its heading and who generated it."""


def compose_markdown(judged: Sequence[Judged]) -> bytes:
    """Return the preservation report; of a record that was read, nothing is said of a certificate beside it."""
    reproductions = [one.reproduction for one in judged]
    environments = [one.environment for one in reproductions if one.environment is not None]
    return write_preservation_report(
        listed=list_experiments().experiments,
        reproductions=reproductions,
        environment=environments[0] if environments else describe_this_machine(),
        certificates=[next(iter(one.certificates), None) if one.record_path is None else None for one in judged],
    ).encode(errors="backslashreplace")  # a target's path need not be text
