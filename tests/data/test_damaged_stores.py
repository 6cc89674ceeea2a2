"""A folder of stores is searched past those that are damaged; nothing found, they are named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hstu_preserve.data.finding import STORES_VARIABLE, search_stores
from hstu_preserve.data.store import RECORD_NAME, write_store
from hstu_preserve.errors import UnavailableError
from tests.data.strategies import make_store

ROWS = [(1, 2, 10, 7), (1, 3, 8, 9), (2, 5, 1, 1), (2, 6, 2, 2)]


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half a record": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "another's record": lambda path: path.write_text('{"name": "somebody else\'s"}'),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a folder in its place": replace_by_folder,
}


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STORES_VARIABLE, str(tmp_path))
    for name in ("a", "b"):
        write_store(make_store(ROWS), tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_hides_no_other(damage: str, stores: Path) -> None:
    DAMAGES[damage](stores / "a" / RECORD_NAME)
    assert search_stores(lambda _: True, wanted="any", advice="make one") == stores / "b"
    with pytest.raises(UnavailableError, match=r"no store with none \(passed over: .*a/store.json"):
        search_stores(lambda _: False, wanted="none", advice="make one")
