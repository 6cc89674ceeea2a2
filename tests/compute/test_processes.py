"""What torchrun's variables say is checked before anything waits: each slip is one sentence that names the variable."""

import pytest

from hstu_preserve.compute.processes import Processes, find_processes
from hstu_preserve.errors import UsageError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
WHOLE = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is not None:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"RANK": None}, "RANK: not set, though WORLD_SIZE is set"),
        ({"WORLD_SIZE": None}, "WORLD_SIZE: not set, though RANK is set"),
        ({"RANK": ""}, "RANK: empty"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE: empty"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK: empty"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR: not set, though RANK and WORLD_SIZE are set"),
        ({"MASTER_ADDR": " "}, "MASTER_ADDR='': no address"),
        ({"MASTER_ADDR": "tcp://10.0.0.1"}, "MASTER_ADDR='tcp://10.0.0.1': no address"),
        ({"MASTER_PORT": None}, "MASTER_PORT: not set"),
        ({"MASTER_PORT": ""}, "MASTER_PORT: empty"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT=http: not a whole number from 1 to 65535"),
        ({"MASTER_PORT": "0"}, "MASTER_PORT=0: not a whole number from 1"),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT=65536: not a whole number"),
        ({"RANK": "one"}, "RANK=one: not a whole number"),
        ({"RANK": "1.0"}, "RANK=1.0: not a whole number"),
        ({"RANK": "1_0"}, "RANK=1_0: not a whole number"),
        ({"RANK": "-1"}, "RANK=-1: not a whole number"),
        ({"RANK": "9" * 5000}, "RANK=9999"),
        ({"RANK": "2"}, "RANK=2: WORLD_SIZE=2 numbers its processes from 0 to 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: not a whole number from 1"),
        ({"WORLD_SIZE": "1"}, "RANK=1: WORLD_SIZE=1 numbers its processes from 0 to 0"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK=2: not a whole number from 0 to 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_slip_is_named(changed: dict[str, str | None], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**WHOLE, **changed})
    with pytest.raises(UsageError) as found:
        find_processes()
    assert str(found.value).startswith(says)
    assert len(str(found.value)) < 200


def test_what_torchrun_sets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_processes() == Processes()
    set_all(monkeypatch, {**WHOLE})
    assert find_processes() == Processes(rank=1, size=2, address="10.0.0.1", port=29500)
    set_all(monkeypatch, {"RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "nonsense"})
    assert find_processes() == Processes(), "one process meets nobody"
