"""A command looks at a target once: its text is resolved, its archive inflated and its manifest parsed one time."""

from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest

from hstu_preserve.bundle import compression, tree, walker
from hstu_preserve.bundle.inflating import End, Inflating, Item
from hstu_preserve.cli.main import main
from hstu_preserve.legacy import recognition
from hstu_preserve.library import sources


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thing was done; the functions do what they always do."""
    counted: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        original: Callable[..., object] = getattr(module, name)

        def counting(*arguments: object, **named: object) -> object:
            counted[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, counting)

    class CountingInflating(Inflating):
        """Notes each archive that is begun, and each that is inflated to its end."""

        def __init__(self, *arguments: object, **named: object) -> None:
            counted["begun"] += 1
            super().__init__(*arguments, **named)  # type: ignore[arg-type]

        def take(self) -> Item:
            item = super().take()
            counted["inflated"] += isinstance(item, End)
            return item

    count(sources, "resolve_target")
    for module in (walker, tree, recognition):
        count(module, "read_manifest")
    monkeypatch.setattr(compression, "Inflating", CountingInflating)
    return counted


@pytest.mark.parametrize("arguments", [("verify", "sample"), ("verify", "--deep", "sample"), ("reproduce", "sample")])
def test_each_thing_is_done_once(arguments: tuple[str, ...], calls: Counter[str]) -> None:
    assert main(list(arguments)) == 0
    # The archive is begun twice: its first member tells what it is, then one pass verifies and unpacks all of it.
    assert calls == {"resolve_target": 1, "read_manifest": 1, "inflated": 1, "begun": 2}
