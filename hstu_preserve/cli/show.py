"""`show`."""

from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import GinRootOption, JsonOption, SetOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve show sample",
    "hstu-preserve show iter8-exp4-SOTA",
    "hstu-preserve show configs/ml-1m/hstu.gin",
)


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A catalog id, a bundle, a run directory, a gin file, hf://…, 'sample', or '-' for standard input.",
            autocompletion=complete_ids,
        ),
    ],
    gin_root: GinRootOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a target claims and holds, without unpacking it.

    Of a gin file: the recipe that it resolves to.
    """
    from hstu_preserve.verbs.show import show

    with spoken() as voice:
        shown = show(target, gin_root=gin_root, settings=tuple(settings or ()), voice=voice)
    emit(shown, as_json=json)
