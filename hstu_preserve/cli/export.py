"""`export`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_words
from hstu_preserve.cli.options import JsonOption, TargetArgument
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve export sample --output weights.pt",
    "hstu-preserve export sample --format model-card --output README.md",
    "hstu-preserve export sample --format trec --output ranks",
)


def command(
    target: TargetArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="FILE", help="The new file; of trec FILE.qrels and FILE.run, of ro-crate a folder."
        ),
    ],
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="meta-checkpoint, model-card, trec or ro-crate.",
            autocompletion=complete_words("meta-checkpoint", "model-card", "trec", "ro-crate"),
        ),
    ] = "meta-checkpoint",
    json: JsonOption = False,
) -> None:
    """Write a bundle in somebody else's format.

    Weights are written as upstream's code saves them, the model card as the Hub reads it, ranks as TREC's evaluators
    read them; a Process Run Crate is for archives of research data.
    """
    from hstu_preserve.verbs.export import export

    with spoken() as voice:
        result = export(target, output=output, format=format, voice=voice)
    emit(result, as_json=json)
