"""`show`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import GinRootOption, JsonOption
from hstu_preserve.cli.output import emit, tell


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A catalog id, a bundle, a run directory, a gin file, hf://…, or 'sample'."
        ),
    ],
    gin_root: GinRootOption = None,
    json: JsonOption = False,
) -> None:
    """What a target is: claims, manifest and contents without unpacking, or the recipe a gin file resolves to."""
    from hstu_preserve.verbs.show import show

    emit(show(target, gin_root=gin_root, announce=tell), as_json=json)
