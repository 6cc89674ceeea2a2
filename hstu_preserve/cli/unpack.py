"""`unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="A packed bundle, a catalog id, hf://OWNER/NAME/FILE, 'sample', or '-'."),
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
    """Unpack a bundle, verified while it is written; nothing is left behind where a byte differs."""
    from hstu_preserve.verbs.unpack import unpack

    with spoken() as voice:
        result = unpack(target, output=output, identity=identity, voice=voice)
    emit(result, as_json=json)
