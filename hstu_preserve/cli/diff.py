"""`diff`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit

DIFFERENT = 3


def command(
    left: Annotated[str, typer.Argument(metavar="A", help="A bundle, a run directory or 'sample'.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    json: JsonOption = False,
) -> None:
    """How two bundles differ: recipe, claims, data, environment, metrics, curve, contents; exit code 3 if they do."""
    from hstu_preserve.workflows.diff import diff

    found = diff(left, right)
    emit(found, as_json=json)
    raise typer.Exit(DIFFERENT if found.differences else 0)
