"""Read a key's passphrase from a file, the environment, or a hidden prompt on a terminal; never from an argument."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.text import NotUtf8Error, decode_utf8

VARIABLE = "HSTU_PRESERVE_PASSPHRASE"
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"Its first line is the passphrase. [default: the environment's {VARIABLE}]",
    ),
]


def find_passphrase(file: Path | None) -> str | None:
    """Return the passphrase of the file or, if no file is named, of the environment.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It is empty.
        ContentError: The file is no text.
    """
    if file is None:
        return os.environ.get(VARIABLE) or None
    try:
        lines = decode_utf8(read_bytes(file)).splitlines()
    except NotUtf8Error as error:
        raise ContentError(f"{file}: {error}") from None
    if not lines or not lines[0]:
        raise UsageError(f"{file}: holds no passphrase")
    return lines[0]


def ask_passphrase(*, twice: bool) -> str:
    """Ask on the terminal, hidden.

    Raises:
        UsageError: There is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"no terminal to ask for a passphrase on; set {VARIABLE} or name --passphrase-file")
    answer: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def find_secret(key: Path | None, *, file: Path | None) -> str | None:
    """Return the passphrase of a private key's file, None if it needs none or no key is named.

    Raises:
        MissingPathError: There is no such file.
        UsageError: It needs one that is given nowhere, or the file of a passphrase is named without a key.
        ContentError: The passphrase's file is no text.
    """
    if key is None:
        if file is not None:
            raise UsageError(f"--passphrase-file {file}: opens no key; name the key with --key")
        return None
    from hstu_preserve.verbs.signing import is_protected

    return (find_passphrase(file) or ask_passphrase(twice=False)) if is_protected(key) else None
