"""`unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit, tell
from hstu_preserve.cli.progress import transfer_bar


def command(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A packed bundle, a catalog id, hf://OWNER/NAME/FILE, or 'sample'.")
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

    with transfer_bar() as listener:
        result = unpack(target, output=output, identity=identity, listener=listener, announce=tell)
    emit(result, as_json=json)
