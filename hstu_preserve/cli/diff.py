"""`diff`."""

from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import TARGET_HELP, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

DIFFERENT = 3

EXAMPLES = ("hstu-preserve diff first.tar.gz second.tar.gz",)


def command(
    left: Annotated[
        str,
        typer.Argument(metavar="A", help=TARGET_HELP, autocompletion=complete_ids),
    ],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.", autocompletion=complete_ids)],
    json: JsonOption = False,
) -> None:
    """Compare two bundles: recipe, claims, metrics, contents.

    Also data, environment and curve. The exit code is 3 if they differ.
    """
    from hstu_preserve.verbs.diff import diff

    with spoken() as voice:
        found = diff(left, right, voice=voice)
    emit(found, as_json=json)
    raise typer.Exit(DIFFERENT if found.differences else 0)
