"""Print a result record: text for people, JSON for programs; stdout is data, stderr is talk."""

import json
import sys

from hstu_preserve.records.record import Record

PIPE_WIDTH = 4000  # a pipe has no margin: nothing is wrapped


def emit(record: Record, *, as_json: bool) -> None:
    """Print the record on stdout.

    Args:
        record: What a workflow returned.
        as_json: Whole, as indented JSON; else the text a person reads.
    """
    if as_json:
        sys.stdout.write(json.dumps(record.to_json_value(), indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    from hstu_preserve.report.terminal import render

    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else PIPE_WIDTH, highlight=False).print(render(record))


def complain(message: str) -> None:
    """Print an error on stderr."""
    sys.stderr.write(f"error: {message}\n")
