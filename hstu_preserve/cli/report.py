"""`report`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve report",
    "hstu-preserve report bundle.tar.gz --markdown report.md",
)


def command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="Bundles to reproduce for the report. [default: sample]",
            autocompletion=complete_ids,
        ),
    ] = None,
    markdown: Annotated[Path, typer.Option("--markdown", metavar="FILE", help="The report to write.")] = Path(
        "PRESERVATION_REPORT.md"
    ),
    json: JsonOption = False,
) -> None:
    """Write a report of what was reproduced here and what not.

    Every experiment of the catalog is named, with the reason if it was not reproduced.
    """
    from hstu_preserve.verbs.report import write_report

    with spoken() as voice:
        result = write_report(targets or None, markdown=markdown, voice=voice)
    emit(result, as_json=json)
    raise typer.Exit(result.exit_code)
