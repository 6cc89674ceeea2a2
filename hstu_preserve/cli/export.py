"""`export`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption, TargetArgument
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    target: TargetArgument,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The new file.")],
    format: Annotated[  # noqa: A002  the option's name
        str, typer.Option("--format", metavar="FORMAT", help="meta-checkpoint or model-card.")
    ] = "meta-checkpoint",
    json: JsonOption = False,
) -> None:
    """Write a bundle's weights as upstream's code saves them, or its model card for the Hub."""
    from hstu_preserve.verbs.export import export

    with spoken() as voice:
        result = export(target, output=output, format=format, voice=voice)
    emit(result, as_json=json)
