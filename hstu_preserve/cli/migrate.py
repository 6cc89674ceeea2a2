"""`migrate`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption, Md5ListOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = ("hstu-preserve migrate legacy.tar.gz --md5-list MANIFEST.md",)


def command(
    legacy: Annotated[
        str,
        typer.Argument(
            metavar="LEGACY", help="An archive as any 'tar czf' writes it, or a bundle of an earlier schema version."
        ),
    ],
    md5_list: Md5ListOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The bundle. [default: the archive's name .migrated.tar.gz]"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a bundle of a legacy archive, every byte kept.

    Every value is recorded with where it comes from. A bundle of an earlier schema version becomes one of the present
    version, which names the earlier one.
    """
    from hstu_preserve.verbs.migrate import migrate

    with spoken() as voice:
        result = migrate(legacy, md5_list=md5_list, output=output, voice=voice)
    emit(result, as_json=json)
