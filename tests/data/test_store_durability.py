"""What a full disk, a signal, a kill or a power loss leaves of a store that is being written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hstu_preserve.data.store import ARRAY_DTYPES, write_store
from hstu_preserve.synthetic.stores import write_synthetic_store
from tests.data.stores_in_memory import synthesize

SYNTHESIZE = ["data", "synthesize", "--seed", "1", "--users", "2000", "--items", "500"]
FILE_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
from hstu_preserve.cli.main import run
run()
"""


@pytest.mark.parametrize("limit", [100, 500_000])
def test_a_full_disk_ends_a_preparation_with_4_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    output = tmp_path / "store"
    command = [sys.executable, "-c", FILE_LIMIT.format(limit=limit), *SYNTHESIZE, "--ratings", "50000"]
    process = subprocess.Popen([*command, "--output", str(output)], stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 4, said
    assert f"{output}: cannot be written" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_preparation_that_is_ended_leaves_nothing_under_its_outputs_name(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Where it was killed, the next one removes what is left."""
    command = [sys.executable, "-m", "hstu_preserve", *SYNTHESIZE, "--output", str(tmp_path / "store"), "--ratings"]
    process = subprocess.Popen([*command, "900000"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob(".store.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)
    assert (process.returncode, "Traceback" in said) == (code, False), said
    assert len(list(tmp_path.iterdir())) == (number == signal.SIGKILL)
    write_synthetic_store(tmp_path / "store", seed=7, num_users=20, num_items=60, num_ratings=400)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_every_array_is_on_the_disk_before_the_store_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync, rename = os.fsync, Path.replace

    def record_sync(descriptor: int) -> None:
        sync(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    def record_rename(path: Path, target: Path) -> Path:
        renamed[Path(target).name] = {one.name for one in synced if path in {one, one.parent}}
        return rename(path, target)

    renamed: dict[str, set[str]] = {}
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_rename)
    arrays = {f"{name}.npy" for name in ARRAY_DTYPES}
    write_synthetic_store(tmp_path / "new/streamed", seed=7, num_users=20, num_items=60, num_ratings=400)
    assert renamed["streamed"] >= arrays
    assert {tmp_path, tmp_path / "new"} <= set(synced)
    write_store(synthesize(seed=7, num_users=20, num_items=60, num_ratings=400), tmp_path / "whole")
    assert renamed["whole"] >= arrays
    assert any(name.startswith(".whole.") for name in renamed["whole"]), "the folder itself, with their names"
