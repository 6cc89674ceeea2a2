"""Hostile bytes in the place of `MANIFEST.json`."""

from tests.corpus.cases import count_by_class


def count_cases() -> dict[str, int]:
    """Return the number of cases by class."""
    return count_by_class("manifests")
