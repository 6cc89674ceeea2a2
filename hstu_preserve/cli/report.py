"""`report`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="Bundles to reproduce for the report. [default: sample]"),
    ] = None,
    markdown: Annotated[Path, typer.Option("--markdown", metavar="FILE", help="The report to write.")] = Path(
        "PRESERVATION_REPORT.md"
    ),
    json: JsonOption = False,
) -> None:
    """Write PRESERVATION_REPORT.md: every experiment, what was reproduced here, what could not be, and why."""
    from hstu_preserve.verbs.report import write_report

    with spoken() as voice:
        result = write_report(targets or None, markdown=markdown, voice=voice)
    emit(result, as_json=json)
    raise typer.Exit(result.exit_code)
