"""`verify`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption, Md5ListOption, PublicKeyOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="Bundles, run directories, catalog ids, hf://OWNER/NAME/FILE, 'sample', or '-' for standard input.",
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also hold recipe, checkpoints, event files, ranks and data against each other."),
    ] = False,
    public_key: PublicKeyOption = None,
    md5_list: Md5ListOption = None,
    json: JsonOption = False,
) -> None:
    """Whether every byte of a bundle is the packed byte; exit code 3 where one is not."""
    from hstu_preserve.verbs.verify import verify

    with spoken() as voice:
        report = verify(*targets, deep=deep, public_key=public_key, md5_list=md5_list, voice=voice)
    emit(report, as_json=json)
    raise typer.Exit(report.exit_code)
