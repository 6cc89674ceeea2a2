"""Compose the preservation report, which is a page as Markdown: what was judged, and all that was published."""

from collections.abc import Sequence

from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.records.results import Reproduction
from hstu_preserve.report.preservation_report import PREAMBLE, write_preservation_report

REPORT_NAME = "PRESERVATION_REPORT.md"
MARK = PREAMBLE.partition(".")[0].encode()
"""How every report begins: with its heading and who generated it."""


def compose_markdown(reproductions: Sequence[Reproduction]) -> bytes:
    """Return the preservation report."""
    environments = [one.environment for one in reproductions if one.environment is not None]
    return write_preservation_report(
        listed=list_experiments().experiments,
        reproductions=reproductions,
        environment=environments[0] if environments else describe_this_machine(),
    ).encode(errors="backslashreplace")  # a target's path need not be text
