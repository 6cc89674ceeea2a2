"""`keygen`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.passphrases import PassphraseFileOption, ask_passphrase, find_passphrase

EXAMPLES = ("hstu-preserve keygen --output author.key --passphrase",)


def command(
    output: Annotated[Path, typer.Option("--output", metavar="KEY", help="The private key's new file.")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase that encrypts the private key.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    json: JsonOption = False,
) -> None:
    """Make a pair of keys to sign bundles with.

    KEY stays with you; KEY.pub is for everybody.
    """
    from hstu_preserve.verbs.keygen import keygen

    secret = ask_passphrase(twice=True) if passphrase else find_passphrase(passphrase_file)
    emit(keygen(output, passphrase=secret), as_json=json)
