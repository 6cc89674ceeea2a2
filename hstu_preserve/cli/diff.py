"""`diff`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import TARGET_HELP, JsonOption
from hstu_preserve.cli.output import emit, tell
from hstu_preserve.cli.progress import transfer_bar

DIFFERENT = 3


def command(
    left: Annotated[
        str,
        typer.Argument(metavar="A", help=TARGET_HELP),
    ],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    json: JsonOption = False,
) -> None:
    """How two bundles differ: recipe, claims, data, environment, metrics, curve, contents; exit code 3 if they do."""
    from hstu_preserve.verbs.diff import diff

    with transfer_bar() as listener:
        found = diff(left, right, listener=listener, announce=tell)
    emit(found, as_json=json)
    raise typer.Exit(DIFFERENT if found.differences else 0)
