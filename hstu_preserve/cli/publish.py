"""`publish`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.voice import spoken

EXAMPLES = (
    "hstu-preserve publish bundle.tar.gz --repo OWNER/NAME --dry-run",
    "hstu-preserve publish bundle.tar.gz --repo OWNER/NAME --create",
)


def command(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE", help="Packed bundles.")],
    repository: Annotated[
        str, typer.Option("--repo", metavar="OWNER/NAME", help="The repository on the Hugging Face Hub.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="With --create: visible to its owner only; a public one is refused.")
    ] = False,
    create: Annotated[bool, typer.Option("--create", help="Make the repository where it is not there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be pushed, and push nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Verify bundles and put them on the Hub.

    Each bundle is one commit, with its signature, its certificate and its model card.
    """
    from hstu_preserve.verbs.publish import preview_publication, publish

    act = preview_publication if dry_run else publish
    with spoken() as voice:
        result = act(bundles, repository=repository, creates=create, is_private=private, voice=voice)
    emit(result, as_json=json)
