"""`unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve unpack sample",
    "hstu-preserve unpack bundle.tar.gz --output tree",
)


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A packed bundle, a catalog id, hf://OWNER/NAME/FILE, or 'sample'.",
            autocompletion=complete_ids,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The new directory. [default: the bundle's name]")
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--identity", metavar="SHA256", help="The identity it must have; of another, nothing is written."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Unpack a bundle, verified while it is written.

    If a byte differs, nothing is left behind.
    """
    from hstu_preserve.verbs.unpack import unpack

    with spoken() as voice:
        result = unpack(target, output=output, identity=identity, voice=voice)
    emit(result, as_json=json)
