"""`pack`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve pack run",
    "hstu-preserve pack run --output bundle.tar.gz --self-test",
    "hstu-preserve pack run --reference run-1 --reference run-2",
)


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory that 'train' made.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The bundle. [default: the bundle's id .tar.gz]")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="RUN",
            help="Another run of the recipe, of a seed that claim.seeds lists. May be given several times.",
        ),
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Read the finished file once more and verify it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Pack a finished run into one bundle.

    The same run gives the same bytes.
    """
    from hstu_preserve.verbs.pack import pack, pack_and_verify

    act = pack_and_verify if self_test else pack
    with spoken() as voice:
        result = act(run, output=output, references=reference or (), voice=voice)
    emit(result, as_json=json)
