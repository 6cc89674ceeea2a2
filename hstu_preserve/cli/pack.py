"""`pack`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory that 'train' made.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The bundle. [default: the bundle's id .tar.gz]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Pack a finished run into one bundle; the same run gives the same bundle."""
    from hstu_preserve.workflows.pack import pack

    emit(pack(run, output=output), as_json=json)
