"""`data prepare`, `data import`, `data synthesize`, `data show`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_datasets, complete_words
from hstu_preserve.cli.help import GroupedCommands, show_examples
from hstu_preserve.cli.options import JsonOption, NewDirectoryOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

PREPARE = ("hstu-preserve data prepare ml-1m --from ml-1m.zip --output stores/ml-1m",)
IMPORT = ("hstu-preserve data import sasrec_format.csv --movies movies.csv --output own",)
SYNTHESIZE = ("hstu-preserve data synthesize --seed 1 --output stores/made-up",)
SHOW = ("hstu-preserve data show stores/ml-1m",)

app = typer.Typer(
    cls=GroupedCommands, no_args_is_help=True, help="Make and show stores: prepared data, named by its fingerprint."
)


@app.command("prepare", epilog=show_examples(PREPARE))
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="E.g. ml-1m, ml-20m, ml-32m, amzn-books.", autocompletion=complete_datasets
        ),
    ],
    source: Annotated[Path, typer.Option("--from", metavar="PATH", help="The zip, its folder, or ratings_Books.csv.")],
    output: NewDirectoryOption,
    tie_policy: Annotated[
        str,
        typer.Option(
            "--tie-policy",
            metavar="POLICY",
            help="Equal timestamps: stable (file order) or item_id.",
            autocompletion=complete_words("stable", "item_id"),
        ),
    ] = "stable",
    json: JsonOption = False,
) -> None:
    """Turn a download of MovieLens or Amazon into a store."""
    from hstu_preserve.verbs.data import prepare_data

    with spoken() as voice:
        result = prepare_data(name, source=source, output=output, tie_policy=tie_policy, voice=voice)
    emit(result, as_json=json)


@app.command(
    "import",
    epilog=show_examples(IMPORT),
)
def import_(
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="A sasrec_format.csv, as upstream's code wrote it.")],
    output: NewDirectoryOption,
    movies: Annotated[
        Path | None,
        typer.Option("--movies", metavar="CSV", help="The movies.csv beside it, if any."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The dataset. [default: recognised by its counts]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Turn an existing sasrec_format.csv into a store.

    The order of events is kept.
    """
    from hstu_preserve.verbs.data import import_data

    with spoken() as voice:
        result = import_data(csv, movies=movies, output=output, name=name, voice=voice)
    emit(result, as_json=json)


@app.command("synthesize", epilog=show_examples(SYNTHESIZE))
def synthesize(
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides everything.")],
    output: NewDirectoryOption,
    users: Annotated[int | None, typer.Option("--users", metavar="N", help="[default: 610]")] = None,
    items: Annotated[int | None, typer.Option("--items", metavar="N", help="[default: 9742]")] = None,
    ratings: Annotated[int | None, typer.Option("--ratings", metavar="N", help="[default: 100836]")] = None,
    json: JsonOption = False,
) -> None:
    """Make up data that may be shared.

    A seed gives the same data on every machine.
    """
    from hstu_preserve.verbs.data import synthesize_data

    result = synthesize_data(seed=seed, output=output, num_users=users, num_items=items, num_ratings=ratings)
    emit(result, as_json=json)


@app.command("show", epilog=show_examples(SHOW))
def show(
    store: Annotated[Path, typer.Argument(metavar="DIR", help="The store.")],
    json: JsonOption = False,
) -> None:
    """Show what a store holds; every array is hashed."""
    from hstu_preserve.verbs.data import show_data

    emit(show_data(store), as_json=json)
