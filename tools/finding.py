"""What one record of `benchmarks/results` found, as a heading and a few sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]
"""One benchmark's record, whose shape its program alone knows."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one benchmark found.

    Attributes:
        heading: The finding itself, as a sentence without its point.
        sentences: The figures that it rests on.
    """

    heading: str
    sentences: tuple[str, ...]


def spell_range(values: Iterable[float], *, digits: int = 2) -> str:
    """Return the smallest and the largest value, or the one that there is."""
    spelled = [f"{value:.{digits}f}" for value in sorted(values)]
    return spelled[0] if spelled[0] == spelled[-1] else f"{spelled[0]} to {spelled[-1]}"
