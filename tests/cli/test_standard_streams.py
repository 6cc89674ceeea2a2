"""Full, closed and abandoned standard streams, and names that are no text: a sentence or silence, no traceback."""

import html
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tests.forked import run_program

COMMAND = [sys.executable, "-W", "error", "-m", "hstu_preserve"]
NO_TEXT = b"caf\xe9.tar.gz"


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--json"], ["show", "sample"], ["verify", "sample"], ["--help"], ["--version"], ["data", "-h"]],
)
def test_a_full_disk_behind_standard_output_exits_4_in_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == "error: standard output: cannot be written (No space left on device)\n"
    assert result.returncode == 4


@pytest.mark.parametrize("arguments", ["show sample", "show sample --json", "verify sample"])
def test_a_reader_that_goes_away_is_no_error_of_ours(arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([*COMMAND, *arguments.split()], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert result.stderr == b""
    assert result.returncode == 141


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["verify", "--nosuch"], 2),
        (["nosuch"], 2),
        (["show", "no such file.tar.gz"], 2),
        (["unpack", "cut.tar.gz", "--output", "new"], 3),
        (["unpack", "whole.tar.gz", "--output", "new"], 0),
        (["reproduce", "whole.tar.gz", "--output", "new"], 0),
    ],
)
def test_a_full_disk_behind_the_talk_changes_nothing(arguments: list[str], exit_code: int, tmp_path: Path) -> None:
    content = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()
    (tmp_path / "whole.tar.gz").write_bytes(content)
    (tmp_path / "cut.tar.gz").write_bytes(content[:-20_000])
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, check=False)
    assert result.returncode == exit_code
    assert (tmp_path / "new").is_dir() == (exit_code == 0)


def test_with_both_streams_on_a_full_disk_the_exit_code_is_left() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run([*COMMAND, "list"], stdout=full, stderr=full, check=False)
    assert result.returncode == 4


@pytest.mark.parametrize(("damage", "exit_code"), [(0, 0), (9, 3)])
def test_closed_standard_streams_leave_the_exit_code(damage: int, exit_code: int, tmp_path: Path) -> None:
    content = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(content[: len(content) - damage])
    script = 'exec "$@" <&- >&- 2>&-'
    result = subprocess.run(["/bin/sh", "-c", script, "sh", *COMMAND, "verify", "b.tar.gz"], cwd=tmp_path, check=False)
    assert result.returncode == exit_code


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """A folder with the sample under a name that is no text."""
    shutil.copy(shipped_directory("bundles") / SAMPLE_BUNDLE, tmp_path / os.fsdecode(NO_TEXT))
    return tmp_path


@pytest.mark.parametrize("verb", ["verify", "show", "reproduce"])
def test_json_is_utf8_whatever_the_name_of_a_file(verb: str, nameless: Path) -> None:
    result = run_program(verb, NO_TEXT, "--json", cwd=nameless)
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    record = json.loads(result.stdout.decode("utf-8"))
    target = record["targets"][0]["target"] if verb == "verify" else record["target"]
    assert os.fsencode(target) == NO_TEXT


@pytest.mark.parametrize(
    "arguments", [["verify", NO_TEXT], ["report", NO_TEXT], ["reproduce", NO_TEXT, "--output", "d"]]
)
def test_a_name_that_is_no_text_is_shown_with_escapes(arguments: list[str | bytes], nameless: Path) -> None:
    result = run_program(*arguments, cwd=nameless)
    assert result.returncode == 0, result.stderr
    written = [path.read_text() for path in nameless.rglob("*") if path.suffix in {".md", ".json"}]
    # Markdown writes a backslash as an entity, JSON writes two of them.
    texts = [html.unescape(text).replace("\\\\", "\\") for text in [result.stdout.decode(), *written]]
    assert any("caf\\udce9" in text for text in texts)
