"""`verify`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit


def command(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET...", help="Bundles, run directories, 'sample', or '-' for standard input."),
    ],
    json: JsonOption = False,
) -> None:
    """Whether every byte of a bundle is the packed byte; exit code 3 where one is not."""
    from hstu_preserve.workflows.verify import verify_all

    report = verify_all(targets)
    emit(report, as_json=json)
    raise typer.Exit(report.choose_exit_code())
