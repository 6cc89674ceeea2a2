"""`report`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import DataOption, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve report",
    "hstu-preserve report bundle.tar.gz --markdown report.md",
    "hstu-preserve report first/reproduction.json second/reproduction.json",
    "hstu-preserve report sample --html page.html",
    "hstu-preserve report result --site site",
)


def command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="Bundles to reproduce for the report, or reproduction.json of earlier calls, or the folder that "
            "'reproduce --output' made. [default: sample, and nothing for --site alone]",
            autocompletion=complete_ids,
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="The report to write. [default: PRESERVATION_REPORT.md]"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="A page to write, alone or with --markdown; nothing is loaded by it."
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site", metavar="DIR", help="A folder to write: a page for each published result, and an index."
        ),
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Write a report of what was reproduced here and what not.

    Every experiment of the catalog is named, with the reason if it was not reproduced.
    """
    from hstu_preserve.verbs.report import write_report

    with spoken() as voice:
        result = write_report(targets or None, markdown=markdown, html=html, site=site, data=data, voice=voice)
    emit(result, as_json=json)
    raise typer.Exit(result.exit_code)
