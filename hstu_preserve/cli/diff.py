"""`diff`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import TARGET_HELP, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


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

    with spoken() as voice:
        found = diff(left, right, voice=voice)
    emit(found, as_json=json)
    raise typer.Exit(found.exit_code)
