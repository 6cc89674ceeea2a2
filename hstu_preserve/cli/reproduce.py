"""`reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import DataOption, DeviceOption, JsonOption, PublicKeyOption, TargetArgument
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    target: TargetArgument,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            "--rung",
            metavar="RUNG",
            help="evaluation: rank every user again; resume: continue from the checkpoint before the last; training: "
            "train anew. May be given several times. [default: evaluation]",
        ),
    ] = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
    public_key: PublicKeyOption = None,
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
    """Verify a bundle, run it again, and say rung by rung whether the reported number holds."""
    from hstu_preserve.verbs.reproduce import DEFAULT_RUNGS, reproduce

    with spoken() as voice:
        reproduction = reproduce(
            target,
            rungs=rung or DEFAULT_RUNGS,
            data=data,
            device=device,
            public_key=public_key,
            output=output,
            max_steps=max_steps,
            voice=voice,
        )
    emit(reproduction, as_json=json)
    raise typer.Exit(reproduction.exit_code)
