"""A machine that gives no more threads: one is enough to verify, pack and unpack; what needs more says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hstu_preserve.primitives.shipped import shipped_directory
from tests.corpus.legacy.generators import ARCHIVE_NAME, build, read_cases
from tests.threadless import make_threadless

SAMPLE = shipped_directory("bundles") / "sample-hstu-synthetic.tar.gz"
ADVICE = "raise the limit of processes ('ulimit -u', or the container's limit of pids)"


@pytest.fixture(scope="module")
def threadless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_threadless(tmp_path_factory.mktemp("threadless"))


def run(*arguments: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "hstu_preserve", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "2", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_a_bundle_is_verified_unpacked_and_packed_by_one_thread(threadless: dict[str, str], tmp_path: Path) -> None:
    for arguments in (
        ("verify", str(SAMPLE)),
        ("unpack", str(SAMPLE), "--output", "tree"),
        ("pack", "tree", "--output", "again.tar.gz"),
        ("show", "again.tar.gz"),
        ("diff", "tree", "again.tar.gz"),
        ("data", "show", "tree/data"),  # reads with numpy, whose OpenBLAS wants a thread per processor
    ):
        result = run(*arguments, cwd=tmp_path, environment=threadless)
        assert (result.returncode, result.stderr) == (0, ""), (arguments, result.stdout + result.stderr)
    assert (tmp_path / "again.tar.gz").read_bytes() == SAMPLE.read_bytes()


def test_a_damaged_bundle_is_found_out_by_one_thread(threadless: dict[str, str], tmp_path: Path) -> None:
    content = bytearray(SAMPLE.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.tar.gz").write_bytes(content)
    (tmp_path / "short.tar.gz").write_bytes(SAMPLE.read_bytes()[:-100])
    for name in ("damaged.tar.gz", "short.tar.gz"):
        assert run("verify", name, cwd=tmp_path, environment=threadless).returncode == 3


def test_a_legacy_archive_is_migrated_by_one_thread(threadless: dict[str, str], tmp_path: Path) -> None:
    build(read_cases()[0], folder=tmp_path)
    for arguments in (
        ("migrate", ARCHIVE_NAME, "--output", "with.tar.gz"),
        ("verify", "with.tar.gz"),
        ("unpack", "with.tar.gz"),
    ):
        result = run(*arguments, cwd=tmp_path, environment=threadless)
        assert (result.returncode, result.stderr) == (0, ""), (arguments, result.stdout + result.stderr)
    assert run("migrate", ARCHIVE_NAME, "--output", "freely.tar.gz", cwd=tmp_path, environment={}).returncode == 0
    assert (tmp_path / "with.tar.gz").read_bytes() == (tmp_path / "freely.tar.gz").read_bytes()


@pytest.mark.parametrize("arguments", [("evaluate", "sample"), ("verify", "sample", "--deep")], ids=" ".join)
def test_torch_s_threads_are_missed_in_words(
    arguments: tuple[str, ...], threadless: dict[str, str], tmp_path: Path
) -> None:
    result = run(*arguments, cwd=tmp_path, environment=threadless)
    told = " ".join((result.stdout + result.stderr).split())
    assert result.returncode == 4, told
    assert f"computing: needs 2 threads, and the system gives 1; {ADVICE}, or set OMP_NUM_THREADS=1" in told
    alone = run(*arguments, cwd=tmp_path, environment={**threadless, "OMP_NUM_THREADS": "1"})
    assert alone.returncode == 0, alone.stdout + alone.stderr


def test_a_rerun_needs_the_recorded_threads(threadless: dict[str, str], tmp_path: Path) -> None:
    result = run("reproduce", "sample", cwd=tmp_path, environment={**threadless, "OMP_NUM_THREADS": "1"})
    assert (result.returncode, "computing as recorded: needs 2 threads" in result.stderr) == (4, True), result.stderr


def test_the_doctor_says_what_cannot_run(threadless: dict[str, str], tmp_path: Path) -> None:
    result = run("doctor", "--json", cwd=tmp_path, environment=threadless)
    assert result.returncode == 0, result.stderr
    named = {one["name"]: one for one in json.loads(result.stdout)["capabilities"]}
    assert named["list, show, verify, pack, unpack"]["is_available"]
    assert not named["train, evaluate, reproduce"]["is_available"]
    assert "OMP_NUM_THREADS=1" in named["train, evaluate, reproduce"]["advice"]


def test_several_processes_need_threads_to_speak_with_each_other(threadless: dict[str, str], tmp_path: Path) -> None:
    assert run("unpack", str(SAMPLE), "--output", "tree", cwd=tmp_path, environment={}).returncode == 0
    of_two = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    result = run(
        *("train", "sample-hstu-synthetic", "--data", "tree/data", "--output", "run"),
        cwd=tmp_path,
        environment={**threadless, "OMP_NUM_THREADS": "1", **of_two},
    )
    assert result.returncode == 4
    assert f"training in several processes: needs 9 threads, and the system gives 1; {ADVICE}" in result.stderr
    assert not (tmp_path / "run").exists()
