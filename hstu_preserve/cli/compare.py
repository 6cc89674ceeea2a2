"""`compare`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_metrics
from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve compare studies/base studies/dropout",
    "hstu-preserve compare runs/* --baseline runs/base --metric hr@10",
    "hstu-preserve compare studies/base studies/dropout --latex",
    "hstu-preserve compare studies/base studies/dropout --html page.html",
)


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|DIR|BUNDLE...", help="Run directories, bundles, or folders of them as 'train --seeds' makes."
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="NAME", help="The recipe of the others' differences. [default: the first one]"
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="METRIC",
            help="What is compared. [default: what the first run claims]",
            autocompletion=complete_metrics,
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print one table as Markdown.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print one table as LaTeX.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print every figure as CSV, in full.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a page with figures; nothing is loaded by it."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare recipes over the seeds of their runs.

    Means, differences over seeds and over users with tests, coverage and cost, as the runs recorded them.
    """
    from hstu_preserve.cli.output import choose_form, print_text
    from hstu_preserve.report.study_tables import WRITERS
    from hstu_preserve.verbs.compare import compare

    form = choose_form(markdown=markdown, latex=latex, csv=csv, json=json)
    with spoken() as voice:
        found = compare(*targets, baseline=baseline, metric=metric, html=html, voice=voice)
    if form is None or form == "json":
        emit(found, as_json=json)
    else:
        print_text(WRITERS[form](found))
