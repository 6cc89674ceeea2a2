"""What a command writes replaces nothing, adds to no run, bundle or store, and is refused before the work."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.pages.markdown_report import MARK
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.verbs.unpack import unpack
from tests.conftest import ROOT
from tests.forked import start_program

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the bundle `b.tar.gz`, the run `run` and a private file."""
    shutil.copy(shipped_directory("bundles") / SAMPLE_BUNDLE, tmp_path / "b.tar.gz")
    unpack("sample", output=tmp_path / "run")
    (tmp_path / "secret").write_bytes(b"\xff a private key")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "b.tar.gz", "--ranks"],
        ["evaluate", "--checkpoint", "b.tar.gz", "--gin", "x.gin", "--ranks"],
        ["report", "b.tar.gz", "--markdown"],
        ["export", "b.tar.gz", "--output"],
        ["reproduce", "b.tar.gz", "--output"],
        ["pack", "run", "--output"],
    ],
    ids=lambda command: " ".join(command[::2]),
)
@pytest.mark.parametrize(
    ("destination", "says", "exit_code"),
    [
        ("b.tar.gz", "b.tar.gz: exists", 2),
        ("secret", "secret: exists", 2),
        ("run/MANIFEST.json", "run/MANIFEST.json: ", 2),
        ("run", "run: exists", 2),
        ("run/new", "lies inside", 2),
        ("run/data/deep/new", "lies inside", 2),
        ("link", "link: exists", 2),
        ("secret/new", "is a file, not a directory", 2),
        ("/proc/new", "/proc/new: cannot be written", 4),
    ],
)
def test_nothing_is_replaced_or_added_to_a_run(
    command: list[str], destination: str, says: str, exit_code: int, folder: Path, capsys: Capture
) -> None:
    (folder / "link").symlink_to("nowhere")
    before = snapshot(folder)
    assert main([*command, destination]) == exit_code
    assert says in capsys.readouterr().err
    assert snapshot(folder) == before
    assert (folder / "link").is_symlink()


@pytest.mark.parametrize(
    "command",
    [
        ["unpack", "b.tar.gz", "--output"],
        ["keygen", "--output"],
        ["data", "synthesize", "--seed", "1", "--output"],
        ["data", "import", "secret", "--movies", "secret", "--output"],
        ["data", "import-sequences", "secret", "--output"],
        ["train", "sample-hstu-synthetic", "--data", "run/data", "--output"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.parametrize("destination", ["run/new", "run/data/deep/new", "run/ckpts/new"])
def test_no_command_makes_a_folder_or_key_within_a_run(
    command: list[str], destination: str, folder: Path, capsys: Capture
) -> None:
    before = snapshot(folder)
    assert main([*command, destination]) == 2
    assert "lies inside" in capsys.readouterr().err
    assert snapshot(folder) == before


def test_a_bundle_is_not_unpacked_into_the_run_that_is_the_current_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(folder / "run")
    before = snapshot(folder)
    assert main(["unpack", "../b.tar.gz"]) == 2
    assert "lies inside" in capsys.readouterr().err
    assert snapshot(folder) == before


@pytest.mark.parametrize("command", [["evaluate", "--ranks"], ["report", "--markdown"], ["reproduce", "--output"]])
def test_where_to_write_is_asked_before_the_target_is_looked_at(
    command: list[str], folder: Path, capsys: Capture
) -> None:
    assert main([command[0], "absent.tar.gz", command[1], "/proc/new"]) == 4
    error = capsys.readouterr().err
    assert "/proc/new" in error
    assert "absent" not in error


def test_a_report_replaces_only_a_report(folder: Path, capsys: Capture) -> None:
    assert main(["report", "sample", "--markdown", "made/r.md"]) == 0
    first = (folder / "made/r.md").read_bytes()
    (folder / "made/r.md").write_bytes(first + b"\xff edited")
    assert main(["report", "sample", "--markdown", "made/r.md"]) == 0
    assert (folder / "made/r.md").read_bytes() == first
    (folder / "made/r.md").write_bytes(b"# Preservation report\n\nBy hand.\n")
    assert main(["report", "sample", "--markdown", "made/r.md"]) == 2
    assert "no report that this command wrote" in capsys.readouterr().err


def test_the_repositorys_own_report_is_generated_otherwise_and_not_replaced() -> None:
    assert not (ROOT / "PRESERVATION_REPORT.md").read_bytes().startswith(MARK)


def test_a_report_with_a_failed_verification_exits_3_and_names_it(folder: Path, capsys: Capture) -> None:
    content = (folder / "b.tar.gz").read_bytes()
    (folder / "b.tar.gz").write_bytes(content[:-9])
    (folder / "run/MANIFEST.json").unlink()
    assert main(["report", "sample", "b.tar.gz", "run"]) == 3
    error = capsys.readouterr().err
    assert "b.tar.gz: bytes NOT_REPRODUCED" in error
    assert "run: bytes NOT_REPRODUCED" in error
    text = (folder / "PRESERVATION_REPORT.md").read_text()
    assert "### unfinished run run" in text
    assert "None" not in text


def test_an_interrupted_reproduction_leaves_nothing_that_keeps_the_same_command_from_running(tmp_path: Path) -> None:
    process = start_program("reproduce", "sample", "--rung", "training", "--output", "again", cwd=tmp_path)
    while process.poll() is None and not any(tmp_path.glob(".again.*.tmp/retrained/results/steps.jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error
    assert list(tmp_path.iterdir()) == []
