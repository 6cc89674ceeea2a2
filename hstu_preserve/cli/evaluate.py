"""`evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids, complete_kinds
from hstu_preserve.cli.options import TARGET_HELP, DataOption, DeviceOption, GinRootOption, JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken
from hstu_preserve.errors import UsageError

EXAMPLES = (
    "hstu-preserve evaluate sample --also all",
    "hstu-preserve evaluate --checkpoint model.pt --gin recipe.gin --data ml-1m",
)


def command(
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help=TARGET_HELP, autocompletion=complete_ids),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="A checkpoint of ours or of another trainer.")
    ] = None,
    gin: Annotated[
        Path | None, typer.Option("--gin", metavar="FILE", help="The gin file the checkpoint was trained with.")
    ] = None,
    data: DataOption = None,
    ranks: Annotated[
        Path | None, typer.Option("--ranks", metavar="FILE", help="Where to write every user's rank (.npz).")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="KIND",
            help="One more kind of evaluation, or all: the same model, other numbers. May be given several times.",
            autocompletion=complete_kinds,
        ),
    ] = None,
    gin_root: GinRootOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Rank every user's held-out item and compute the metrics.

    Of a bundle, or of a checkpoint file with its gin file.
    """
    from hstu_preserve.verbs.evaluate import evaluate, evaluate_file

    with spoken() as voice:
        if target is not None and checkpoint is None and gin is None:
            result = evaluate(target, data=data, ranks=ranks, device=device, also=also or (), voice=voice)
        elif target is None and checkpoint is not None and gin is not None:
            result = evaluate_file(
                checkpoint,
                gin=gin,
                data=data,
                gin_root=gin_root,
                ranks=ranks,
                device=device,
                also=also or (),
                voice=voice,
            )
        else:
            raise UsageError("name either a TARGET, or --checkpoint together with --gin")
    emit(result, as_json=json)
