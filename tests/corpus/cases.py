"""Reads the cases of a corpus: data, so that another implementation can use them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input and what every reader must say of it; `README.md` explains the fields."""

    id: str
    class_name: str
    generator: str
    arguments: dict[str, Any]
    profile: str
    verdict: str
    finding: tuple[str, ...]
    points: list[list[Any]] | dict[str, int] | None = None
    """What an accepted event file holds: tag, step, value, wall time of each."""

    def matches(self, found: set[str]) -> bool:
        """Whether each expected word, or one of its alternatives, was found."""
        return all(set(words.split("|")) & found for words in self.finding)


def read_cases(corpus: str) -> list[Case]:
    """Return the cases of a folder beside this file."""
    values = json.loads((HERE / corpus / "cases.json").read_text(encoding="utf-8"))
    cases = [Case(class_name=value.pop("class"), finding=tuple(value.pop("finding")), **value) for value in values]
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.verdict in {"accepted", "refused"} for case in cases)
    assert all(bool(case.finding) == (case.verdict == "refused") for case in cases)
    return cases


def count_by_class(corpus: str) -> dict[str, int]:
    """Return how many cases of each class there are."""
    return dict(Counter(case.class_name for case in read_cases(corpus)))
