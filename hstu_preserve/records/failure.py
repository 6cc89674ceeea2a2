"""Record why a command has no other record."""

from hstu_preserve.records.record import Record


class Failure(Record):
    """Why a command has no other record; `--json` prints it instead."""

    error: str
    kind: str
    """The name of the exception, as Python callers see it."""
    exit_code: int
