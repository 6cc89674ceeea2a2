"""What nothing vouches for is counted to its end, however long the list."""

import json
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.primitives.digests import sha256_of_bytes
from tests.corpus.legacy.generators import Entry
from tests.verbs.test_migrate import write_archive


@pytest.mark.parametrize(("num_files", "hidden"), [(5, ""), (6, " and 1 more"), (40, " and 35 more")])
def test_members_beyond_the_first_five_are_counted(
    num_files: int, hidden: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vouched = {"a.gin": {"sha256": sha256_of_bytes(b"x = 1\n")}}
    manifest = Entry(name="MANIFEST.json", content=json.dumps({"files": vouched}).encode())
    others = [Entry(name=f"f{number:02}.txt", content=b"x") for number in range(num_files - 1)]
    archive = write_archive(tmp_path, [Entry(name="a.gin", content=b"x = 1\n"), *others, manifest])
    assert main(["verify", str(archive)]) == 6
    (note,) = [line for line in capsys.readouterr().out.splitlines() if "nothing vouches for" in line]
    assert f"nothing vouches for {num_files} of {num_files + 1} members: f00.txt, " in note
    assert note.endswith(hidden or "MANIFEST.json")
    assert note.count(", ") == 4
