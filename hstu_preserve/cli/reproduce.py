"""`reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_rungs, complete_words
from hstu_preserve.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    Md5ListOption,
    PublicKeyOption,
    TargetArgument,
)
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.passphrases import PassphraseFileOption, find_secret
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve reproduce sample",
    "hstu-preserve reproduce bundle.tar.gz --data stores/ml-1m",
    "hstu-preserve reproduce sample --rung resume --max-steps 20",
    "hstu-preserve reproduce x.tar.gz --rung training --seeds 5 --output again",
    "hstu-preserve reproduce bundle.tar.gz --key reviewer.key",
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
            "train anew, with other seeds if --seeds is given. May be given several times. [default: evaluation]",
        ),
    ] = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
    public_key: PublicKeyOption = None,
    md5_list: Md5ListOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="A new directory for verdicts, ranks and runs; with --seeds, the same command goes on in it.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", metavar="N", help="Train with N seeds that the bundle does not record (1 to 99)."),
    ] = None,
    rerun: Annotated[
        list[str] | None,
        typer.Option(
            "--rerun", metavar="RUN", help="A run or bundle of another seed that exists. May be given several times."
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", metavar="X", help="Judge retrainings by it; one wider than the claim's explores."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell seeds, power and cost of --seeds; train nothing.")
    ] = False,
    max_steps: Annotated[
        int | None,
        typer.Option(
            "--max-steps", metavar="K", min=1, help="Resume for so many steps at most. [default: to the run's end]"
        ),
    ] = None,
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            metavar="RUNNER",
            help="native: this program's code; archived: the code that an archive's own author published.",
            autocompletion=complete_words("native", "archived"),
        ),
    ] = "native",
    code: Annotated[
        Path | None,
        typer.Option("--code", metavar="FILE|DIR", help="The author's code; else what 'download --code' fetched."),
    ] = None,
    trust_code: Annotated[
        str | None,
        typer.Option("--trust-code", metavar="SHA256", help="Run the code only if this is its digest; read it before."),
    ] = None,
    entry: Annotated[
        str | None, typer.Option("--entry", metavar="PATH", help="The script of the code. [default: main.py]")
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="EXE", help="The interpreter of an environment built for the code."),
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="SRC=DEST", help="Copy a file or folder to where the code looks for it."),
    ] = None,
    overlay: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="'NAME = VALUE'", help="A gin binding that follows the bundle's."),
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable for the code.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="MINUTES", min=0.01, help="End a run of the code after it. [default: never]"),
    ] = None,
    skip_training: Annotated[
        bool,
        typer.Option(
            help="Let the one epoch of an evaluation train on nothing; else it trains with a learning rate of 0."
        ),
    ] = True,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="KEY", help="Sign what comes out, as a certificate beside the bundle or in --output."
        ),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    json: JsonOption = False,
) -> None:
    """Run a bundle again and judge its claims, rung by rung.

    The bundle is verified first. The exit code is 0 if every required rung holds.
    """
    from hstu_preserve.archived.settings import AuthorCode, choose_runner
    from hstu_preserve.retraining.asked import Retraining
    from hstu_preserve.verbs.reproduce import DEFAULT_RUNGS, reproduce

    secret = find_secret(key, file=passphrase_file)
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
            author_code=choose_runner(
                runner,
                AuthorCode(
                    code=code,
                    trust=trust_code,
                    entry=entry,
                    python=python,
                    stages=tuple(stage or ()),
                    overlay=tuple(overlay or ()),
                    environment=tuple(env or ()),
                    timeout_minutes=timeout,
                    skips_training=skip_training,
                ),
            ),
            retraining=Retraining(num_seeds=seeds, reruns=tuple(rerun or ()), margin=margin, is_dry=dry_run),
            key=key,
            passphrase=secret,
            voice=voice,
        )
    emit(reproduction, as_json=json)
    raise typer.Exit(reproduction.exit_code)
