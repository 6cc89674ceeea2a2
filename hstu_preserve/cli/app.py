"""All commands in one application."""

from typing import Annotated

import typer

from hstu_preserve.cli import (
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
from hstu_preserve.version import __version__

app = typer.Typer(
    name="hstu-preserve",
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


app.command("list")(list_experiments.command)
app.command("show")(show.command)
app.command("download")(download.command)
app.command("verify")(verify.command)
app.command("reproduce")(reproduce.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("pack")(pack.command)
app.command("unpack")(unpack.command)
app.add_typer(data.app, name="data")
app.command("diff")(diff.command)
app.command("migrate")(migrate.command)
app.command("publish")(publish.command)
app.command("keygen")(keygen.command)
app.command("sign")(sign.command)
app.command("export")(export.command)
app.command("report")(report.command)
app.command("doctor")(doctor.command)
