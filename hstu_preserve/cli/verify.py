"""`verify`."""

from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import JsonOption, Md5ListOption, PublicKeyOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve verify sample",
    "hstu-preserve verify --deep bundle.tar.gz",
    "hstu-preserve verify legacy.tar.gz --md5-list MANIFEST.md",
)


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET",
            help="Bundles, run directories, catalog ids, hf://OWNER/NAME/FILE, 'sample', or '-' for standard input.",
            autocompletion=complete_ids,
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
    """Compare every byte of a bundle with its manifest.

    A legacy archive is compared with a list of digests. The exit code is 3 if a byte differs.
    """
    from hstu_preserve.verbs.verify import verify_all

    with spoken() as voice:
        report = verify_all(targets, deep=deep, public_key=public_key, md5_list=md5_list, voice=voice)
    emit(report, as_json=json)
    raise typer.Exit(report.choose_exit_code())
