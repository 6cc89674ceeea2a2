"""Run one check of `verify --deep`, and turn its failure into a result."""

from collections.abc import Callable
from pathlib import Path

from hstu_preserve.errors import ContentError, PreserveError
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.verification import DeepCheck


def run_check(name: str, check: Callable[[], str], *, root: Path) -> DeepCheck:
    """Return the outcome of one check: its detail, or why it failed; paths are shown relative to `root`."""
    try:
        detail = check()
    except PreserveError as error:
        return DeepCheck(name=name, passed=False, detail=printable(str(error).replace(f"{root}/", "")))
    return DeepCheck(name=name, passed=True, detail=printable(detail))


def require_equal(what: str, *, expected: object, found: object) -> None:
    """Raise ContentError if two statements of the bundle differ."""
    if expected != found:
        raise ContentError(f"{what}: expected {expected}, found {found}")
