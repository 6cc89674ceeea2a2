"""`sign`."""

from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.passphrases import PassphraseFileOption, find_secret

EXAMPLES = ("hstu-preserve sign bundle.tar.gz --key author.key",)


def command(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle or run directory.")],
    key: Annotated[Path, typer.Option("--key", metavar="KEY", help="The private key that keygen wrote.")],
    passphrase_file: PassphraseFileOption = None,
    json: JsonOption = False,
) -> None:
    """Verify a bundle and write its signature beside it.

    The signature is the file BUNDLE.sig; the bundle is not touched.
    """
    from hstu_preserve.verbs.signing import sign

    emit(sign(bundle, key=key, passphrase=find_secret(key, file=passphrase_file)), as_json=json)
