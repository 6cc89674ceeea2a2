"""`diff`."""

from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_either
from hstu_preserve.cli.options import GinRootOption, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve diff first.tar.gz second.tar.gz",
    "hstu-preserve diff base.gin mine.gin",
    "hstu-preserve diff paper-hstu-ml-20m control-base-td",
)


def command(
    left: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A bundle, a run directory, 'sample', hf://OWNER/NAME/FILE, a gin file, or the id of a recipe.",
            autocompletion=complete_either,
        ),
    ],
    right: Annotated[str, typer.Argument(metavar="B", help="Another.", autocompletion=complete_either)],
    gin_root: GinRootOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two bundles, or two recipes.

    Of bundles: recipe, claims, data, environment, code, metrics, curve and contents. If either is a gin file or the id
    of a recipe, recipe and claims alone, by their gin names. The exit code is 3 if they differ.
    """
    from hstu_preserve.verbs.diff import diff

    with spoken() as voice:
        found = diff(left, right, gin_root=gin_root, voice=voice)
    emit(found, as_json=json)
    raise typer.Exit(found.exit_code)
