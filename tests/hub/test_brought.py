"""What another tool brought of a published experiment is taken, compared, and not fetched again."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.hub.conftest import REPOSITORY, Program
from tests.hub.local_hub import LocalHub
from tests.legacy.published_layout import Layout

ID = "iter8-exp4-SOTA"
NAME = f"{ID}.tar.gz"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def bring_into_folder(program: Program) -> Path:
    """As `hf download REPOSITORY --local-dir .` does."""
    return Layout(manifest=None).write(program.folder / NAME)


def bring_into_cache(program: Program) -> Path:
    """As `hf download REPOSITORY` does."""
    folder = program.home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    content = Layout(manifest=None).write(folder / "blobs" / NAME)
    place = folder / "snapshots" / COMMIT / NAME
    place.parent.mkdir(parents=True)
    for name, source in ((NAME, content), ("MANIFEST.md", content.with_name("MANIFEST.md"))):
        place.with_name(name).symlink_to(Path("../../blobs") / source.name)
    return place


@pytest.mark.parametrize("bring", [bring_into_folder, bring_into_cache])
def test_it_is_taken_and_nobody_is_asked(bring, hub: LocalHub, program: Program) -> None:  # type: ignore[no-untyped-def]
    path = bring(program)
    verified = program.run("verify", ID)
    assert verified.returncode == 0, verified.stderr
    assert "as " in verified.stdout
    assert "ok recorded ndcg@10: 0.1948 (published as iter8-exp4-SOTA)" in verified.stdout
    assert f"takes {path if bring is bring_into_cache else NAME}, which is on this machine already" in verified.stderr
    judged = program.run("reproduce", ID)
    assert judged.returncode == 6, judged.stderr
    assert not hub.requests


@pytest.mark.parametrize("bring", [bring_into_folder, bring_into_cache])
def test_it_is_shown_below_its_entry(bring, hub: LocalHub, program: Program) -> None:  # type: ignore[no-untyped-def]
    before = program.run("show", ID)
    assert "on this machine no; hstu-preserve download iter8-exp4-SOTA" in " ".join(before.stdout.split())
    bring(program)
    shown = program.run("show", ID)
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert "catalog entry iter8-exp4-SOTA" in words
    assert "on this machine as shown below" in words
    assert "legacy archive" in words.partition("as shown below")[2]
    record = json.loads(program.run("show", ID, "--json").stdout)
    assert record["entry"]["id"] == ID
    assert any(file["path"].endswith(".gin") for file in record["here"]["files"])
    assert not hub.requests


def test_one_that_cannot_be_read_hides_no_entry(program: Program) -> None:
    path = bring_into_folder(program)
    path.write_bytes(path.read_bytes()[:1000])
    shown = program.run("show", ID)
    assert shown.returncode == 0
    assert "catalog entry" in shown.stdout
    assert f"{ID}: its bundle on this machine cannot be shown" in shown.stderr


def test_one_that_differs_from_its_list_is_refused(hub: LocalHub, program: Program) -> None:
    path = bring_into_folder(program)
    digest = hashlib.md5(b"another").hexdigest()
    (program.folder / "MANIFEST.md").write_text(f"{digest}  {path.name}\n")
    assert program.run("verify", ID).returncode == 3


def test_an_address_means_the_file_of_its_server(hub: LocalHub, program: Program) -> None:
    bring_into_folder(program)
    result = program.run("reproduce", f"hf://{REPOSITORY}/{NAME}")
    assert result.returncode == 4
    assert hub.requests


def test_without_it_the_message_is_as_before(program: Program) -> None:
    result = program.run("verify", ID)
    assert result.returncode == 4
    assert "not on this machine" in result.stdout + result.stderr
