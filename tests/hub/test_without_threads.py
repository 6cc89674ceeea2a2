"""A machine that gives no more threads fetches one file after another; publishing needs the client's threads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.conftest import REPOSITORY, Program
from tests.hub.local_hub import User
from tests.hub.test_download import md5_table
from tests.hub.test_publish import SAMPLE, SAMPLE_NAME, WRITER
from tests.hub.writing import WritingHub
from tests.threadless import make_threadless

FILES = {f"iter8-{number}.tar.gz": bytes([number]) * 300_000 for number in range(6)}


@pytest.fixture
def hub() -> Iterator[WritingHub]:
    with WritingHub() as hub:
        yield hub


@pytest.fixture
def threadless(tmp_path: Path) -> dict[str, str]:
    return make_threadless(tmp_path)


def test_files_are_fetched_and_compared_one_after_another(
    hub: WritingHub, program: Program, threadless: dict[str, str]
) -> None:
    listing = md5_table(FILES)
    hub.add(REPOSITORY, {**FILES, "MANIFEST.md": listing})
    result = program.run("download", "--all", **threadless)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert program.files == {**FILES, "MANIFEST.md": listing}


def test_nothing_is_pushed_without_the_client_s_threads(
    hub: WritingHub, program: Program, threadless: dict[str, str]
) -> None:
    hub.users[WRITER] = User(name="author")
    hub.make("author/experiments")
    (program.folder / SAMPLE_NAME).write_bytes(SAMPLE.read_bytes())
    result = program.run("publish", SAMPLE_NAME, "--repo", "author/experiments", HF_TOKEN=WRITER, **threadless)
    assert result.returncode == 4, result.stdout + result.stderr
    told = " ".join((result.stdout + result.stderr).split())
    assert "pushing to it: needs 17 threads, and the system gives 1; raise the limit of processes" in told
    assert hub.list_files("author/experiments") == {}
