"""Write the preservation report: re-run what is here, list what is not."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.results import ReportResult
from hstu_preserve.report.preservation_report import write_preservation_report
from hstu_preserve.workflows.catalog import list_experiments
from hstu_preserve.workflows.doctor import describe_this_machine
from hstu_preserve.workflows.progress import Announcer, Listener, ignore, say_nothing
from hstu_preserve.workflows.reproduce import reproduce
from hstu_preserve.workflows.targets import SAMPLE

REPORT_NAME = "PRESERVATION_REPORT.md"


def write_report(
    targets: Sequence[str] | None = None,
    *,
    markdown: Path = Path(REPORT_NAME),
    device: str = "auto",
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> ReportResult:
    """Reproduce the targets' evaluation rung and write the report.

    Args:
        targets: As `reproduce` takes them; None takes the sample.
        markdown: The file to write.
        device: `auto`, `cpu` or `cuda`.
        listener: Hears of progress.
        announce: Is told what will be fetched, and how much, before it is.

    Raises:
        PreserveError: A target cannot be re-run at all; nothing is written.
    """
    reproductions = [
        reproduce(target, device=device, listener=listener, announce=announce) for target in (targets or [SAMPLE])
    ]
    environments = [one.environment for one in reproductions if one.environment is not None]
    catalog = list_experiments()
    text = write_preservation_report(
        listed=catalog.experiments,
        reproductions=reproductions,
        environment=environments[0] if environments else describe_this_machine(),
    )
    before = markdown.read_text(encoding="utf-8") if markdown.is_file() else None
    write_atomically(markdown, text.encode())
    return ReportResult(
        path=markdown,
        experiments=len(catalog.experiments) + len(reproductions),
        reproduced=sum(one.exit_code == 0 for one in reproductions),
        is_changed=text != before,
    )
