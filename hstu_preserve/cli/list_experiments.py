"""`list`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit

EXAMPLES = (
    "hstu-preserve list",
    "hstu-preserve list runs",
    "hstu-preserve list --json",
)


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder of runs, which are then listed instead.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the published results and what they claim.

    Each with its recipe, its gain over the paper's HSTU, and where the bundle is. With DIR: the runs in it, how far
    they are, and what goes on with those that are not finished.
    """
    if folder is not None:
        from hstu_preserve.library.run_states import list_runs

        emit(list_runs(folder), as_json=json)
        return
    from hstu_preserve.library.listing import list_experiments

    emit(list_experiments(), as_json=json)
