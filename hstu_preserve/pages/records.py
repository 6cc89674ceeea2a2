"""Read what an earlier `reproduce --output` wrote, and say which verdicts do not hold."""

from pathlib import Path

from hstu_preserve.primitives.files import read_small
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.results import Reproduction
from hstu_preserve.verdict.rungs import list_failed

MAX_RECORD_BYTES = 2**24


def find_record(path: Path, *, name: str) -> Path | None:
    """Return the record that an earlier call wrote, by its path or in its folder under a name; None of a target."""
    if path.suffix == ".json" and path.is_file():
        return path
    return path / name if (path / name).is_file() else None


def read_record(path: Path) -> Reproduction:
    """Return the record of a reproduction.

    Raises:
        ContentError: It is named as such a record and is none.
        UnavailableError: It cannot be read.
    """
    return Reproduction.from_json(read_small(path, max_bytes=MAX_RECORD_BYTES), source=str(path))


def tell_failures(reproduction: Reproduction, *, voice: Voice) -> None:
    """Say which verdicts do not hold."""
    for verdict in list_failed(reproduction.verdicts):
        voice.say(f"{reproduction.target}: {verdict.rung.value} {verdict.outcome.value}: {verdict.reason}")
