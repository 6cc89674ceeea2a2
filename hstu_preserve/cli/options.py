"""Options that several commands share, so that one word means one thing everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids, complete_words

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result record as JSON on stdout.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The store (of others' archives also a folder of stores); else the bundle's own, or HSTU_PRESERVE_DATA.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="DEVICE", help="auto, cpu or cuda.", autocompletion=complete_words("auto", "cpu", "cuda")
    ),
]
GinRootOption = Annotated[
    Path | None, typer.Option("--gin-root", metavar="DIR", help="The folder that a gin file's includes may not leave.")
]
Md5ListOption = Annotated[
    Path | None,
    typer.Option(
        "--md5-list", metavar="FILE", help="What vouches for a legacy archive ('-': standard input); else MANIFEST.md."
    ),
]
NewDirectoryOption = Annotated[Path, typer.Option("--output", metavar="DIR", help="The new directory.")]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option("--public-key", metavar="KEY", help="The key that must have signed it, as keygen wrote KEY.pub."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="'NAME = VALUE'", help="A gin binding that follows the recipe's. May be given several times."
    ),
]
TARGET_HELP = "A bundle, a run directory, a catalog id, hf://OWNER/NAME/FILE, or 'sample'."
TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP, autocompletion=complete_ids)]
