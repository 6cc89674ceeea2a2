"""Where PyTorch is not installed, every command says so in one line or does without it; none ends in a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.legacy.generators import CHECKPOINT, end_as_gnu, make_members, squeeze

PROGRAM = """
import sys
sys.modules["torch"] = None  # an import of it fails from here on, and nothing finds it

from hstu_preserve.cli.main import run

run()
"""
BROKEN = {
    "OSError('libcudart.so.13: cannot open shared object file')": "libcudart.so.13: cannot open shared object file",
    "ImportError('undefined symbol: cudnnCreate')": "undefined symbol: cudnnCreate",
    "RuntimeError('module compiled against another numpy\\nmore lines')": "module compiled against another numpy",
}
"""What a PyTorch raises that is installed but cannot be loaded, and what is said of it."""
DEEP_VERIFICATION = ["verify", "--deep", "sample"]


def run_without_torch(arguments: list[str], *, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "sample-hstu-synthetic", "--output", "run"],
        ["evaluate", "sample"],
        ["reproduce", "sample"],
        ["reproduce", "sample", "--rung", "resume", "--rung", "training"],
        ["export", "sample", "--format", "meta-checkpoint", "--output", "x"],
    ],
    ids=" ".join,
)
def test_a_command_that_computes_says_that_it_needs_pytorch(arguments: list[str], tmp_path: Path) -> None:
    result = run_without_torch(arguments, folder=tmp_path)
    assert (result.returncode, result.stdout) == (4, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: PyTorch is not installed, which training and evaluation need; install ")
    assert not list(tmp_path.iterdir())


def test_a_deep_verification_says_that_it_could_not_look_deeper(tmp_path: Path) -> None:
    result = run_without_torch(DEEP_VERIFICATION, folder=tmp_path)
    assert result.returncode == 4
    assert "PyTorch is not installed" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("verb", [["doctor"], ["show", "sample"], ["verify", "sample"]], ids=" ".join)
def test_a_command_that_only_looks_does_without_it(verb: list[str], tmp_path: Path) -> None:
    result = run_without_torch(verb, folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert verb != ["doctor"] or "PyTorch is not installed" in result.stdout


@pytest.mark.parametrize("kind", ["legacy", "migrated"])
def test_an_archive_of_which_nothing_is_run_is_judged_without_it(kind: str, tmp_path: Path) -> None:
    # The cases' checkpoints are random bytes, which a migrated bundle's deep checks refuse; this archive has none.
    members = [member.to_bytes() for member in make_members() if member.name != CHECKPOINT]
    archive = tmp_path / "exp.tar.gz"
    archive.write_bytes(squeeze(end_as_gnu(b"".join(members))))
    if kind == "migrated":
        migrated = run_without_torch(["migrate", archive.name, "--output", "migrated.tar.gz"], folder=tmp_path)
        assert migrated.returncode == 0, migrated.stderr
    target = archive.name if kind == "legacy" else "migrated.tar.gz"
    judged = run_without_torch(["reproduce", target, "--json"], folder=tmp_path)
    assert (judged.returncode, judged.stderr) == (6, "")
    rungs = [verdict["rung"] for verdict in json.loads(judged.stdout)["verdicts"]]
    assert rungs == ["bytes", *(["consistency"] if kind == "migrated" else []), "recorded", "evaluation-numeric"]
    reported = run_without_torch(["report", target, "--markdown", "report.md"], folder=tmp_path)
    assert reported.returncode == 6, reported.stderr
    assert "NOT_RUN" in (tmp_path / "report.md").read_text()


@pytest.fixture(params=BROKEN, ids=lambda error: error.partition("(")[0])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, str], str]:
    """An environment whose PyTorch cannot be loaded, and why."""
    package = tmp_path / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {request.param}\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])}, BROKEN[request.param]


def test_a_pytorch_that_does_not_load_is_said_in_one_sentence(
    broken: tuple[dict[str, str], str], tmp_path: Path
) -> None:
    environment, reason = broken
    for arguments, code in (
        (["train", "sample-hstu-synthetic", "--output", "run"], 4),
        (["evaluate", "sample"], 4),
        (["verify", "--deep", "sample"], 4),
        (["doctor"], 0),
    ):
        command = [sys.executable, "-W", "error", "-m", "hstu_preserve", *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        told = " ".join((result.stdout + result.stderr).split())
        assert (result.returncode, "Traceback" in told) == (code, False), told
        assert f"PyTorch is installed but cannot be loaded ({reason})" in told, told
