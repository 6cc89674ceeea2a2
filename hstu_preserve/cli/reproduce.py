"""`reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_rungs
from hstu_preserve.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    Md5ListOption,
    PublicKeyOption,
    TargetArgument,
)
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve reproduce sample",
    "hstu-preserve reproduce bundle.tar.gz --data stores/ml-1m",
    "hstu-preserve reproduce sample --rung resume --max-steps 20",
)


def command(
    target: TargetArgument,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            "--rung",
            metavar="RUNG",
            autocompletion=complete_rungs,
            help="evaluation: rank every user again; resume: continue from the checkpoint before the last; training: "
            "train anew. May be given several times. [default: evaluation]",
        ),
    ] = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
    public_key: PublicKeyOption = None,
    md5_list: Md5ListOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="A new directory for verdicts, ranks and the retrained run."),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            "--max-steps", metavar="K", min=1, help="Resume for so many steps at most. [default: to the run's end]"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a bundle again and judge its claims, rung by rung.

    The bundle is verified first. The exit code is 0 if every required rung holds.
    """
    from hstu_preserve.verbs.reproduce import DEFAULT_RUNGS, reproduce

    with spoken() as voice:
        reproduction = reproduce(
            target,
            rungs=rung or DEFAULT_RUNGS,
            data=data,
            device=device,
            public_key=public_key,
            md5_list=md5_list,
            output=output,
            max_steps=max_steps,
            voice=voice,
        )
    emit(reproduction, as_json=json)
    raise typer.Exit(reproduction.exit_code)
