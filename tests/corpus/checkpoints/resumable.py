"""Checkpoints that claim to be ones to go on from: the sample's, edited as the cases in `resumable.json` say."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of edits and what must be said of the result.

    Attributes:
        id: Its name.
        kind: What is wrong.
        edits: Each one operation on one path; `*` stands for every name.
        verdict: `refused` or `accepted`.
        says: Words of the message, where refused.
    """

    id: str
    kind: str
    edits: list[dict[str, Any]]
    verdict: str
    says: tuple[str, ...]


def load_cases() -> list[Case]:
    """Return all cases, in the file's order."""
    rows = json.loads((HERE / "resumable.json").read_text(encoding="utf-8"))
    return [
        Case(id=row["id"], kind=row["class"], edits=row["edits"], verdict=row["verdict"], says=tuple(row["says"]))
        for row in rows
    ]


def edit_checkpoint(path: Path, case: Case) -> None:
    """Change a checkpoint's file as the case says."""
    content = torch.load(path, weights_only=True)
    for edit in case.edits:
        (operation, place), value = next(iter(edit.items())), edit.get("value")
        for holder, key in find(content, place.split("/")):
            apply(operation, holder, key, value)
    torch.save(content, path)


def find(content: Any, place: list[str]) -> Iterator[tuple[Any, Any]]:
    """Yield every mapping or list, and the key in it, that a path names."""
    first, *rest = place
    keys = list(content) if first == "*" else [int(first) if first.isdecimal() else first]
    for key in keys:
        if rest:
            yield from find(content[key], rest)
        else:
            yield content, key


def apply(operation: str, holder: Any, key: Any, value: Any) -> None:
    """Do one thing to one value."""
    match operation:
        case "delete":
            del holder[key]
        case "set":
            holder[key] = value
        case "add":
            holder[key] += value
        case "fill":
            holder[key] = torch.full_like(holder[key], float(value))
        case "shape":
            holder[key] = torch.zeros(value, dtype=holder[key].dtype)
        case "dtype":
            holder[key] = holder[key].to(getattr(torch, value))
        case _:
            raise ValueError(operation)
