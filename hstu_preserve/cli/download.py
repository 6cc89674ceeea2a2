"""`download`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.completion import complete_ids
from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken
from hstu_preserve.errors import UsageError

EXAMPLES = (
    "hstu-preserve download iter8-exp4-SOTA",
    "hstu-preserve download --all --output-dir bundles",
    "hstu-preserve download hf://OWNER/NAME/bundle.tar.gz --dry-run",
)


def command(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Catalog ids, or hf:// addresses.", autocompletion=complete_ids),
    ] = None,
    has_all: Annotated[bool, typer.Option("--all", help="Every bundle of the repository.")] = False,
    has_code: Annotated[bool, typer.Option("--code", help="The repository's code archive, too.")] = False,
    repository: Annotated[
        str | None, typer.Option("--repo", metavar="REPO", help="Another repository than the catalog's, as owner/name.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="A branch, tag or commit. [default: main]")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output-dir", metavar="DIR", help="Where the files appear.", show_default="here")
    ] = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be fetched.")] = False,
    json: JsonOption = False,
) -> None:
    """Fetch bundles from the Hugging Face Hub.

    Every byte is compared with the published digests while it arrives. A download that was interrupted goes on
    where it stopped.
    """
    from hstu_preserve.library.wanted import Wanted
    from hstu_preserve.verbs.download import download, preview_download

    if not (ids or has_all or has_code):
        raise UsageError("nothing to fetch: name ids, or --all, or --code; 'hstu-preserve list' shows the ids")
    if ids and has_all:
        raise UsageError(f"{ids[0]}: --all means every bundle of the repository; leave either of them out")
    wanted = Wanted(ids=ids or (), has_all=has_all, has_code=has_code, repository=repository, revision=revision)
    if dry_run:
        report = preview_download(wanted)
    else:
        with spoken() as voice:
            report = download(wanted, output=output, voice=voice)
    emit(report, as_json=json)
    raise typer.Exit(report.choose_exit_code())
