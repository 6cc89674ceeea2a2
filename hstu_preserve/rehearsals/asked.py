"""What a user asks for together with a dry run, and whether it makes sense; loads nothing."""

from collections.abc import Mapping
from pathlib import Path

from hstu_preserve.errors import UsageError


def require_rehearsable(others: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that makes no sense with `--dry-run`.

    Args:
        others: Whether an option was given, by its name.
    """
    given = [name for name, is_given in others.items() if is_given]
    if given:
        raise UsageError(f"{given[0]}: --dry-run takes the first steps of a recipe; leave it out")


def require_output(output: Path | None) -> Path:
    """Return where a training writes.

    Raises:
        UsageError: Nobody said where.
    """
    if output is None:
        raise UsageError("--output: missing; name the new directory with --output DIR, or try --dry-run")
    return output
