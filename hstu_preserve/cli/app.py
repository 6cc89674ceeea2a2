"""All commands in one application."""

from typing import Annotated

import typer

from hstu_preserve.cli import (
    compare,
    data,
    diff,
    doctor,
    download,
    evaluate,
    export,
    keygen,
    list_experiments,
    migrate,
    pack,
    publish,
    report,
    reproduce,
    show,
    sign,
    train,
    unpack,
    verify,
)
from hstu_preserve.cli.help import GroupedCommands, show_examples
from hstu_preserve.version import __version__

MAKING = "Make a result"
GROUPS = {
    "Check a result": {
        "list": list_experiments,
        "show": show,
        "download": download,
        "verify": verify,
        "reproduce": reproduce,
        "diff": diff,
        "report": report,
    },
    MAKING: {"train": train, "compare": compare, "evaluate": evaluate, "pack": pack},
    "Hand a result on": {
        "keygen": keygen,
        "sign": sign,
        "publish": publish,
        "unpack": unpack,
        "migrate": migrate,
        "export": export,
    },
    "Check this machine": {"doctor": doctor},
}
"""The commands as the help lists them."""

app = typer.Typer(
    name="hstu-preserve",
    cls=GroupedCommands,
    help="Preserve HSTU experiments: pack them, verify every byte, run them again, say whether the number holds.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 content is not what it claims, 4 not available, 5 not reproduced, "
    "6 inconclusive or not run, 130 interrupted, 141 reader of a pipe gone, 143 terminated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(is_asked: bool) -> None:
    """Print the version and leave."""
    if is_asked:
        typer.echo(f"hstu-preserve {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take the options that stand before every command."""


for group, commands in GROUPS.items():
    for name, module in commands.items():
        app.command(name, rich_help_panel=group, epilog=show_examples(module.EXAMPLES))(module.command)
app.add_typer(data.app, name="data", rich_help_panel=MAKING)
