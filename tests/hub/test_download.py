"""`download` against a hub on this machine, as a user runs it."""

import hashlib
import json
import subprocess
import sys

import pytest

from tests.hub.conftest import REPOSITORY, Program
from tests.hub.faults import Fault
from tests.hub.local_hub import LocalHub, User

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
print(planned.missing_bytes, report.commit, report.exit_code, "torch" in sys.modules)
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


BAD_TOKENS = ["hf_s\N{LATIN SMALL LETTER E WITH ACUTE}cret", "hf_a s", "hf_a\ts", "hf_a\x1b[201~s", "hf_a\x7fs"]


@pytest.mark.parametrize("token", BAD_TOKENS, ids=["not ASCII", "space", "tab", "escape", "delete"])
def test_what_cannot_be_a_token_is_told_and_not_sent(token: str, hub: LocalHub, program: Program) -> None:
    commit = hub.add(REPOSITORY, {NAME: CONTENT})
    assert program.run("download", "iter8-exp4-SOTA", "--dry-run", "--revision", commit).returncode == 0
    before = len(hub.requests)
    for revision in ("main", commit):  # what a commit holds is known already
        result = program.run("download", "iter8-exp4-SOTA", "--revision", revision, HF_TOKEN=token)
        told = " ".join((result.stdout + result.stderr).split())
        assert result.returncode == 4, told
        assert "what was given as token holds characters that none has; set HF_TOKEN" in told
        assert token not in told
    assert len(hub.requests) == before


def test_a_token_with_a_line_break_behind_it_is_one(hub: LocalHub, program: Program) -> None:
    hub.users["hf_reader"] = User(name="reader", role="read")
    hub.add(REPOSITORY, {NAME: CONTENT})
    assert program.run("download", "iter8-exp4-SOTA", HF_TOKEN="hf_reader\n").returncode == 0


def test_a_list_for_another_folder_is_not_held_against_the_file(hub: LocalHub, program: Program) -> None:
    old = b"another content of the same name"
    listing = md5_table({f"old/{NAME}": old})
    hub.add(REPOSITORY, {NAME: CONTENT, f"old/{NAME}": old, "MANIFEST.md": listing})
    result = program.run("download", "iter8-exp4-SOTA")
    assert (result.returncode, program.files) == (0, {NAME: CONTENT}), result.stdout
    result = program.run("download", f"hf://{REPOSITORY}/old/{NAME}")
    assert result.returncode == 0, result.stdout
    assert "as MANIFEST.md (line 3)" in result.stdout
    hub.add(REPOSITORY, {f"old/{NAME}": b"not that content"})
    assert program.run("download", f"hf://{REPOSITORY}/old/{NAME}", "--output-dir", "again").returncode == 3


def test_somebody_s_own_list_in_the_folder_stays_and_stops_nothing(hub: LocalHub, program: Program) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT, "MANIFEST.md": md5_table({NAME: CONTENT})})
    (program.folder / "MANIFEST.md").write_bytes(b"# my own notes\n")
    result = program.run("download", "iter8-exp4-SOTA", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert program.files == {NAME: CONTENT, "MANIFEST.md": b"# my own notes\n"}
    bundle, listed = json.loads(result.stdout)["files"]
    assert any("MANIFEST.md" in one["source"] for one in bundle["receipt"]["vouched"])
    assert (listed["path"], listed["place"], listed["error"]) == ("MANIFEST.md", None, None)
    shown = program.run("download", "iter8-exp4-SOTA")
    assert "note MANIFEST.md: exists and is another file" in shown.stdout
    assert "would fetch" not in shown.stdout


def test_a_bundle_that_is_another_file_in_the_folder_is_an_error(hub: LocalHub, program: Program) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    (program.folder / NAME).write_bytes(b"my own")
    result = program.run("download", "iter8-exp4-SOTA")
    assert (result.returncode, program.files) == (2, {NAME: b"my own"})


def test_the_report_says_whether_a_signature_came_with_it(hub: LocalHub, program: Program) -> None:
    hub.add("me/x", {"a b.tar.gz": CONTENT, "a b.tar.gz.sig": b"{}", "c.tar.gz": CONTENT + b"c"})
    result = program.run("download", "--all", "--repo", "me/x", "--output-dir", "out")
    told = " ".join(result.stdout.split())
    assert result.returncode == 0, told
    assert "a signature lies beside it, which this did not check (out/a b.tar.gz.sig)" in told
    assert "'hstu-preserve verify 'out/a b.tar.gz' --public-key KEY'" in told
    assert told.count("nobody signed this") == 1
    assert told.index("out/c.tar.gz") < told.index("nobody signed this")


def test_a_download_says_that_it_tries_again_and_whom_it_asks(hub: LocalHub, program: Program) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.spoil(Fault(pattern="GET /api", status=503))
    hub.spoil(Fault(pattern="GET /lfs", status=503))
    hub.spoil(Fault(pattern="GET /lfs", is_dropped=True))
    result = program.run("download", "iter8-exp4-SOTA")
    assert result.returncode == 0, result.stdout
    said = result.stderr.splitlines()
    assert len(said) == 3, said
    assert all("trying again in" in one and "127.0.0.1" in one for one in said)
    assert said[0].startswith(f"{REPOSITORY}@main: 127.0.0.1 answers 503")
