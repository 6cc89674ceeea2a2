"""How many hostile and odd inputs there are, by corpus and class."""

import importlib
import json

import pytest

from tests.corpus.cases import HERE

OWN = ("archives", "manifests", "events")
OTHERS = ("checkpoints", "legacy", "bundles")


def count_corpora() -> dict[str, dict[str, int]]:
    """Return the cases by class of every corpus: as it counts itself, or the length of its lists."""
    counts: dict[str, dict[str, int]] = {}
    for name in (*OWN, *OTHERS):
        module = importlib.import_module(f"tests.corpus.{name}")
        if hasattr(module, "count_cases"):
            counts[name] = module.count_cases()
        else:
            counts[name] = {
                path.stem: len(json.loads(path.read_bytes())) for path in sorted((HERE / name).glob("*.json"))
            }
    return counts


def test_the_corpora_are_as_large_as_they_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    counts = count_corpora()
    lines = [
        f"corpus {name}: {sum(classes.values())} ({', '.join(f'{key} {n}' for key, n in sorted(classes.items()))})"
        for name, classes in counts.items()
    ]
    total = sum(sum(classes.values()) for classes in counts.values())
    with capsys.disabled():
        print("", *lines, f"corpora together: {total}", sep="\n")  # noqa: T201  # what it is for
    assert sum(sum(counts[name].values()) for name in OWN) >= 250
    assert total >= 300
