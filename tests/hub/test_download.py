"""`download` against a hub on this machine, as a user runs it."""

import hashlib
import subprocess
import sys

from tests.hub.conftest import REPOSITORY, Program
from tests.hub.local_hub import LocalHub

CONTENT = hashlib.shake_128(b"a bundle").digest(300_000)
NAME = "iter8-exp4-SOTA.tar.gz"


def md5_table(files: dict[str, bytes]) -> bytes:
    lines = [f"| `{n}` | `{hashlib.md5(c, usedforsecurity=False).hexdigest()}` |" for n, c in files.items()]
    return "\n".join(["| file | md5 |", "|---|---|", *lines, ""]).encode()


def test_an_id_is_fetched_and_compared_with_everything_that_is_known_of_it(hub: LocalHub, program: Program) -> None:
    commit = hub.add(REPOSITORY, {NAME: CONTENT, "MANIFEST.md": md5_table({NAME: CONTENT})})
    result = program.run("download", "iter8-exp4-SOTA")
    assert result.returncode == 0, result.stdout + result.stderr
    assert program.files == {NAME: CONTENT, "MANIFEST.md": md5_table({NAME: CONTENT})}
    assert commit in result.stdout
    assert "as MANIFEST.md (line 3)" in result.stdout
    assert "as the Hub's metadata says" in result.stdout
    assert "nobody signed this" in result.stdout
    assert result.stderr == ""


SCRIPT = """
import sys, hstu_preserve
from pathlib import Path
wanted = hstu_preserve.Wanted(ids=["iter8-exp4-SOTA"])
planned = hstu_preserve.preview_download(wanted)
report = hstu_preserve.download(wanted, output=Path("here"))
print(planned.missing_bytes, report.commit, report.choose_exit_code(), "torch" in sys.modules)
"""


def test_a_caller_in_python_has_the_same(hub: LocalHub, program: Program) -> None:
    commit = hub.add(REPOSITORY, {NAME: CONTENT})
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.split() == [str(len(CONTENT)), commit, "0", "False"], result.stderr
    assert program.files == {f"here/{NAME}": CONTENT}
