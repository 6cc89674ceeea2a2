"""The commands below `data`: `download`, `prepare`, `import`, `import-sequences`, `synthesize`, `export`, `show`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_datasets, complete_policies, complete_words
from hstu_preserve.cli.help import GroupedCommands, show_examples
from hstu_preserve.cli.options import JsonOption, NewDirectoryOption
from hstu_preserve.cli.output import emit, tell
from hstu_preserve.cli.voice import spoken
from hstu_preserve.errors import UsageError

DOWNLOAD = ("hstu-preserve data download ml-1m", "hstu-preserve data download ml-20m --accept-terms")
PREPARE = (
    "hstu-preserve data prepare ml-1m --from ml-1m.zip --output stores/ml-1m",
    "hstu-preserve data prepare ml-1m --from ml-1m.zip --every-order --output all",
)
IMPORT = ("hstu-preserve data import sasrec_format.csv --movies movies.csv --output own",)
IMPORT_SEQUENCES = (
    "hstu-preserve data import-sequences Video.txt --output stores/games",
    "hstu-preserve data import-sequences log.txt.gz --name mine --output mine",
)
SYNTHESIZE = ("hstu-preserve data synthesize --seed 1 --output stores/made-up",)
EXPORT = ("hstu-preserve data export stores/ml-1m --output exported",)
SHOW = ("hstu-preserve data show stores/ml-1m",)

MinUserEventsOption = Annotated[
    int, typer.Option("--min-user-events", metavar="N", help="Leave out users with fewer, counted once over all.")
]
MinItemEventsOption = Annotated[int, typer.Option("--min-item-events", metavar="N", help="The same of items.")]

app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    help="Fetch data; make, show and export stores, named by fingerprint.",
)


@app.command("download", epilog=show_examples(DOWNLOAD))
def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="E.g. ml-1m, ml-20m, ml-32m.", autocompletion=complete_datasets)
    ],
    accepts_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You read GroupLens' terms and accept them.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The new file. [default: NAME.zip]")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="A mirror. [default: GroupLens]")] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a MovieLens zip; its md5 is compared.

    Asks whether you accept the terms of GroupLens.
    """
    from hstu_preserve.verbs.data import download_data

    accepts_terms = accepts_terms or ask_about_terms(name)
    with spoken() as voice:
        result = download_data(name, accepts_terms=accepts_terms, output=output, url=url, voice=voice)
    emit(result, as_json=json)


def ask_about_terms(name: str) -> bool:
    """Tell the terms on a terminal, and return whether they are accepted.

    Raises:
        UnknownNameError: No such data set.
        UsageError: There is no terminal to ask on.
    """
    from hstu_preserve.data.known_datasets import find_served_dataset
    from hstu_preserve.verbs.data import describe_terms

    terms = describe_terms(find_served_dataset(name))
    if not sys.stdin.isatty():
        raise UsageError(f"{name}: {terms}; read them, then say --accept-terms")
    tell(f"{terms}.")
    return typer.confirm("Do you accept these terms?", default=False, err=True)


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
        str | None,
        typer.Option(
            "--tie-policy",
            metavar="POLICY",
            help="Equal timestamps: stable (file order), item_id, or as one of NumPy's four sorts leaves them: "
            "numpy-introsort, numpy-avx512-1, numpy-avx2, numpy-avx512-2. [default: stable]",
            autocompletion=complete_policies,
        ),
    ] = None,
    every_order: Annotated[
        bool, typer.Option("--every-order", help="One store for each distinct order that this machine can make.")
    ] = False,
    numpy_python: Annotated[
        str | None,
        typer.Option(
            "--numpy-python", metavar="EXE", help="Another Python, whose NumPy makes an order that ours cannot."
        ),
    ] = None,
    min_user_events: MinUserEventsOption = 1,
    min_item_events: MinItemEventsOption = 1,
    json: JsonOption = False,
) -> None:
    """Turn a download of MovieLens or Amazon into a store.

    With --every-order, into a folder of stores.
    """
    from hstu_preserve.verbs.data import DEFAULT_POLICY, prepare_data, prepare_every_order

    if every_order and tie_policy is not None:
        raise UsageError(f"--every-order and --tie-policy {tie_policy}: choose one of them")
    prepare_it = prepare_every_order if every_order else partial(prepare_data, tie_policy=tie_policy or DEFAULT_POLICY)
    with spoken() as voice:
        result = prepare_it(
            name,
            source=source,
            output=output,
            numpy_python=numpy_python,
            min_user_events=min_user_events,
            min_item_events=min_item_events,
            voice=voice,
        )
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
    from hstu_preserve.verbs.imports.sasrec_format import import_data

    with spoken() as voice:
        result = import_data(csv, movies=movies, output=output, name=name, voice=voice)
    emit(result, as_json=json)


@app.command("import-sequences", epilog=show_examples(IMPORT_SEQUENCES))
def import_sequences_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Lines 'user item [rating timestamp]', or reviews; may be gzip.")
    ],
    output: NewDirectoryOption,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The dataset. [default: recognised by its bytes]")
    ] = None,
    min_user_events: MinUserEventsOption = 1,
    min_item_events: MinItemEventsOption = 1,
    json: JsonOption = False,
) -> None:
    """Turn a file of one event a line into a store.

    Reads 'user item', 'user item rating timestamp', and reviews of Amazon and Steam.
    """
    from hstu_preserve.verbs.imports.sequences import import_sequences

    with spoken() as voice:
        result = import_sequences(
            file,
            output=output,
            name=name,
            min_user_events=min_user_events,
            min_item_events=min_item_events,
            voice=voice,
        )
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


@app.command("export", epilog=show_examples(EXPORT))
def export(
    store: Annotated[Path, typer.Argument(metavar="DIR", help="The store.")],
    output: NewDirectoryOption,
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="sasrec-format.", autocompletion=complete_words("sasrec-format")
        ),
    ] = "sasrec-format",
    json: JsonOption = False,
) -> None:
    """Write a store as upstream's code reads its data.

    Importing the files gives the same fingerprint.
    """
    from hstu_preserve.verbs.data import export_data

    with spoken() as voice:
        result = export_data(store, output=output, format=format, voice=voice)
    emit(result, as_json=json)


@app.command("show", epilog=show_examples(SHOW))
def show(
    store: Annotated[Path, typer.Argument(metavar="DIR", help="The store.")],
    json: JsonOption = False,
) -> None:
    """Show what a store holds; every array is hashed."""
    from hstu_preserve.verbs.data import show_data

    emit(show_data(store), as_json=json)
