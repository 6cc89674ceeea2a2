"""Print a result record: text for people, JSON for programs; stdout is data, stderr is talk."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from hstu_preserve.cli.escaping import escape_controls
from hstu_preserve.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hstu_preserve.records.record import Record
    from hstu_preserve.report.lines import Line

PIPE_WIDTH = 4000  # a pipe has no margin: nothing is wrapped


def emit(record: "Record", *, as_json: bool) -> None:
    """Print the record on stdout.

    Args:
        record: The result of a verb.
        as_json: Whole, as indented JSON; else the text a person reads.
    """
    write(record, as_json=as_json)
    sys.stdout.flush()


def write(record: "Record", *, as_json: bool) -> None:
    """Write the record on stdout, in whichever form fits."""
    if as_json:
        sys.stdout.write(format_json(record) + "\n")
    elif sys.stdout.isatty():
        print_styled(record, width=None)
    else:
        print_plain(record)


def choose_form(**asked: bool) -> str | None:
    """Return which form was asked for, by the option's name; None if none was.

    Raises:
        UsageError: More than one was.
    """
    forms = [f"--{name}" for name, is_asked in asked.items() if is_asked]
    if len(forms) > 1:
        raise UsageError(f"{' and '.join(forms)}: one form at a time")
    return forms[0].removeprefix("--") if forms else None


def print_text(text: str) -> None:
    """Print a text that is a file in itself on stdout."""
    sys.stdout.write(escape_controls(text))
    sys.stdout.flush()


def format_json(record: "Record") -> str:
    """Return the record as indented JSON, `ok` and the schema version first.

    Bytes of a path that are no text, and characters that could steer a terminal, are escaped as JSON can.
    """
    import json

    from hstu_preserve.records.record import SCHEMA_VERSION

    value = record.to_json_value()
    assert isinstance(value, dict)
    text = json.dumps({"ok": record.ok, "schema_version": SCHEMA_VERSION, **value}, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_plain(record: "Record") -> None:
    """Print a record for a pipe; lines of text do not wait for rich, which is a quarter of a small verification."""
    lines = find_lines(record)
    if lines is None:
        print_styled(record, width=PIPE_WIDTH)
    else:
        sys.stdout.writelines(f"{escape_controls(str(line))}\n" for line in lines)


def find_lines(record: "Record") -> "Iterable[Line] | None":
    """Return a record that is nothing but lines as those, None for any other."""
    from hstu_preserve.records.downloads import DownloadReport

    if isinstance(record, DownloadReport):
        from hstu_preserve.report.downloads import list_download

        return list_download(record)
    from hstu_preserve.records.verification import VerificationReport

    if isinstance(record, VerificationReport):
        from hstu_preserve.report.verification import list_report

        return list_report(record)
    return None


def print_styled(record: "Record", *, width: int | None) -> None:
    """Print a record as rich lays it out."""
    from rich.console import Console

    from hstu_preserve.cli.escaped import Escaped
    from hstu_preserve.report.terminal import render

    console = Console(width=width, highlight=False)
    with console.capture() as text:  # rich on its own exits with 1 where nobody reads
        console.print(Escaped(render(record)))
    sys.stdout.write(text.get())


def complain(message: str) -> None:
    """Print an error on stderr; one of several processes says which it is."""
    rank = os.environ.get("RANK", "")
    who = f" of process {rank}" if rank.isdecimal() and not is_first_process() else ""
    tell(f"error{who}: {message}")


def report_failure(message: str, *, kind: str, exit_code: int) -> None:
    """Print an error as JSON on stdout, for a program that asked for JSON; stderr has said it already."""
    from hstu_preserve.records.failure import Failure

    if is_first_process():
        with suppress(UnavailableError):  # stdout itself may be what failed
            emit(Failure(error=message, kind=kind, exit_code=exit_code), as_json=True)


def is_first_process() -> bool:
    """Whether this is the process that speaks for all that torchrun started; one on its own is."""
    return os.environ.get("RANK", "0") == "0"


def tell(message: str) -> None:
    """Print a sentence for the user on stderr."""
    sys.stderr.write(f"{escape_controls(message)}\n")
