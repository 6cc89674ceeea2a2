"""Damaged, hostile and merely odd event files."""

from tests.corpus.cases import count_by_class


def count_cases() -> dict[str, int]:
    """Return the number of cases by class."""
    return count_by_class("events")
