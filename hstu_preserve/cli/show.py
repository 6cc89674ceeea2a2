"""`show`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import GinRootOption, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A catalog id, a bundle, a run directory, a gin file, hf://…, 'sample', or '-' for standard input.",
        ),
    ],
    gin_root: GinRootOption = None,
    json: JsonOption = False,
) -> None:
    """What a target is: claims, manifest and contents without unpacking, or the recipe a gin file resolves to."""
    from hstu_preserve.verbs.show import show

    with spoken() as voice:
        shown = show(target, gin_root=gin_root, voice=voice)
    emit(shown, as_json=json)
