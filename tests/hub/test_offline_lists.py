"""What was fetched can be worked on without anybody to ask, whatever lists and signatures were not fetched with it."""

import hashlib
import json
from pathlib import Path

import pytest

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tests.corpus.legacy.generators import Case, build
from tests.hub.conftest import Program
from tests.hub.local_hub import LocalHub

SAMPLE = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()
OTHER = b"another archive"
MD5, SHA256 = hashlib.md5(OTHER, usedforsecurity=False).hexdigest(), hashlib.sha256(OTHER).hexdigest()
LISTS = {
    "MANIFEST.md": f"| file | md5 |\n|---|---|\n| other.tar.gz | {MD5} |\n".encode(),
    "SHA256SUMS": f"{SHA256}  other.tar.gz\n".encode(),
    "MD5SUMS": f"{MD5}  other.tar.gz\n".encode(),
    "MANIFEST.json": json.dumps({"files": [{"path": "other.tar.gz", "sha256": SHA256}]}).encode(),
}
NOBODY_ASKED = {"HF_HUB_OFFLINE": "1"}
NOBODY_ANSWERS = {"HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def fetched(hub: LocalHub, program: Program, tmp_path: Path) -> Program:
    """A machine that fetched a bundle, a legacy archive and a code archive that no list of the repository names."""
    (tmp_path / "legacy").mkdir()
    legacy = build(Case(id="x", kind="", canonical="", outcome=""), folder=tmp_path / "legacy")
    archives = {"s.tar.gz": SAMPLE, "old.tar.gz": legacy.read_bytes(), "my-code.tar.gz": OTHER + b"code"}
    hub.add("me/x", {**archives, "other.tar.gz": OTHER, "s.tar.gz.sig": b"{}", **LISTS})
    for path in ("s.tar.gz", "old.tar.gz"):
        assert program.run("unpack", f"hf://me/x/{path}", "--output", "tree").returncode in {0, 3}
    assert program.run("download", "--repo", "me/x", "--code").returncode == 0
    # As if it had not been to be had in that moment: a bundle is worth something without its signature.
    for signature in program.home.rglob("*.sig*"):
        content = hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
        (program.home / "hstu-preserve" / "blobs" / content).unlink(missing_ok=True)
        signature.unlink()
    for kept in program.home.rglob("*"):
        if kept.is_file() and kept.read_bytes() in LISTS.values():
            kept.unlink()
    return program


def test_nobody_need_be_asked_for_lists_that_say_nothing_of_a_file(fetched: Program) -> None:
    unlisted = 6  # of a legacy archive that no list names nobody can say more, with or without a network
    for arguments, environment, exit_code in (
        (["verify", "hf://me/x/s.tar.gz"], NOBODY_ASKED, 0),
        (["verify", "hf://me/x/s.tar.gz"], NOBODY_ANSWERS, 0),
        (["show", "hf://me/x/s.tar.gz"], NOBODY_ASKED, 0),
        (["verify", "hf://me/x/old.tar.gz"], NOBODY_ASKED, unlisted),
        (["show", "hf://me/x/old.tar.gz"], NOBODY_ANSWERS, 0),
        (["download", "hf://me/x/s.tar.gz", "--output-dir", "a"], NOBODY_ANSWERS, 0),
        (["download", "hf://me/x/old.tar.gz", "--output-dir", "a"], NOBODY_ASKED, 0),
        (["download", "--repo", "me/x", "--code", "--output-dir", "a"], NOBODY_ASKED, 0),
    ):
        result = fetched.run(*arguments, **environment)
        told = result.stdout + result.stderr
        assert result.returncode == exit_code, (arguments, told)
        assert "me/x/MANIFEST.md: " in told
        assert "what it says of other files was not compared" in told


def test_every_list_and_signature_that_was_not_looked_at_is_named(fetched: Program) -> None:
    report = fetched.run_json("download", "hf://me/x/s.tar.gz", "--output-dir", "a", **NOBODY_ASKED)
    assert [file["error"] for file in report["files"]] == [None]
    for name in (*LISTS, "s.tar.gz.sig"):
        assert any(note.startswith(f"me/x/{name}: ") for note in report["notes"]), report["notes"]


def test_a_commit_that_is_known_needs_nobody_to_answer(hub: LocalHub, fetched: Program) -> None:
    commit = hub.repositories["me/x"].refs["main"]
    waits = fetched.note_waits()
    result = fetched.run("verify", f"hf://me/x@{commit}/s.tar.gz", **NOBODY_ANSWERS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "MANIFEST.md: 127.0.0.1:9 cannot be reached" in result.stderr
    assert waits.read_text() == "", "it waited for a hub that is not there"


def test_what_is_not_here_is_not_made_up(fetched: Program) -> None:
    result = fetched.run("download", "hf://me/x/other.tar.gz", **NOBODY_ASKED)
    assert result.returncode == 4
    assert "HF_HUB_OFFLINE is set" in result.stdout


def test_a_list_that_is_too_large_is_said_and_hides_nothing_else(hub: LocalHub, program: Program) -> None:
    huge = LISTS["MD5SUMS"] + b"#" * MAX_LIST_BYTES
    listed = f"{hashlib.sha256(SAMPLE).hexdigest()}  s.tar.gz\n".encode()
    hub.add("me/x", {"s.tar.gz": SAMPLE, "MANIFEST.md": huge, "SHA256SUMS": listed})
    result = program.run("download", "hf://me/x/s.tar.gz")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"me/x/MANIFEST.md: {len(huge)} bytes, and a list is read up to" in result.stdout
    assert "as SHA256SUMS (line 1) of me/x" in " ".join(result.stdout.split())
    assert program.run("verify", "hf://me/x/s.tar.gz").returncode == 0
