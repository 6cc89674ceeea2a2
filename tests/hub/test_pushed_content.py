"""`publish` says 'pushed' of what the Hub holds, byte for byte as it was verified, and of nothing else."""

import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]  # re-exported
from huggingface_hub.utils import logging as client_logging

from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.hub.commit_watch import watched
from hstu_preserve.hub.commits import LocalFile, make_addition
from tests.hub.conftest import Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.repositories import StoredFile
from tests.hub.test_publish import (
    CARD,
    REPOSITORY,
    SAMPLE,
    SAMPLE_NAME,
    STEPS,
    WRITER,
    prepare,
    publish,
    refuse,
)
from tests.hub.writing import WritingHub

Files = dict[str, StoredFile]


@pytest.fixture
def hub() -> Iterator[WritingHub]:
    with WritingHub() as hub:
        prepare(hub)
        yield hub


@pytest.fixture
def publisher(program: Program) -> Program:
    program.environment |= {"HF_TOKEN": WRITER}
    shutil.copy(SAMPLE, program.folder / SAMPLE_NAME)
    return program


@pytest.mark.parametrize("lfs_suffixes", [(".gz",), (".none",)], ids=["lfs", "regular"])
def test_what_the_repository_ignores_is_told_and_nothing_is_pushed(
    lfs_suffixes: tuple[str, ...], hub: WritingHub, publisher: Program
) -> None:
    hub.ignored_suffixes, hub.lfs_suffixes = (".gz",), lfs_suffixes
    says = rf"\.gitignore there keeps {SAMPLE_NAME} out; nothing was pushed"
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=says)
    assert hub.list_files(REPOSITORY) == {}
    assert hub.count("PUT ") == 0


def lose(name: str) -> Callable[[Files], object]:
    return lambda files: files.pop(name)


def replace_by(name: str, content: bytes, *, is_lfs: bool) -> Callable[[Files], object]:
    return lambda files: files.update({name: StoredFile(content=content, is_lfs=is_lfs)})


OTHER = bytes(SAMPLE.stat().st_size)
SPOILED: dict[str, Callable[[Files], object]] = {
    "is lost": lose(SAMPLE_NAME),
    "is another of its size": replace_by(SAMPLE_NAME, OTHER, is_lfs=True),
    "is another of its size outside LFS": replace_by(SAMPLE_NAME, OTHER, is_lfs=False),
    "is cut": replace_by(SAMPLE_NAME, SAMPLE.read_bytes()[:-1], is_lfs=True),
    "has another card": replace_by(CARD, b"# A card of somebody else\n", is_lfs=False),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_commit_that_does_not_hold_what_was_verified_is_no_success(
    what: str, hub: WritingHub, publisher: Program
) -> None:
    hub.spoil_commit = SPOILED[what]
    name = CARD if "card" in what else SAMPLE_NAME
    says = rf"commit [0-9a-f]{{40}} was made, and what it holds of {name} is not what was verified"
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=3, says=says)


def test_a_commit_that_cannot_be_looked_at_is_named(hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern="GET .*/revision/[0-9a-f]{40}", status=404, times=ALWAYS))
    says = r"commit [0-9a-f]{40} was made and could not be looked at; run it again"
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=says)


def test_a_file_that_changes_while_it_is_pushed_outside_lfs_is_pushed_as_it_was_verified(
    hub: WritingHub, publisher: Program
) -> None:
    hub.lfs_suffixes = (".none",)
    is_changed = threading.Event()
    hub.spoil(Fault(pattern=STEPS["preupload"], until=is_changed))
    process = publisher.start("publish", SAMPLE_NAME, "--repo", REPOSITORY)
    while not hub.count(STEPS["preupload"]):
        assert process.poll() is None
    (publisher.folder / SAMPLE_NAME).write_bytes(OTHER)
    is_changed.set()
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert hub.list_files(REPOSITORY)[SAMPLE_NAME] == SAMPLE.read_bytes()


def test_a_file_that_is_not_what_was_verified_is_not_handed_to_the_client(tmp_path: Path) -> None:
    path, content = tmp_path / "x.tar.gz", b"as it was verified"
    path.write_bytes(content)
    file = LocalFile(path="x.tar.gz", content=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert make_addition(file).upload_info.size == len(content)
    path.write_bytes(b"as it is not now  ")
    with pytest.raises(ContentError, match=r"x\.tar\.gz: changed since it was verified"):
        make_addition(file)


@pytest.mark.parametrize("step", ["preupload", "batch", "object", "commit"])
@pytest.mark.parametrize(
    "headers", [{"Retry-After": "86400"}, {"ratelimit": '"api";r=0;t=86400'}], ids=["retry-after", "ratelimit"]
)
def test_a_hub_that_asks_for_a_day_is_not_waited_for(
    step: str, headers: dict[str, str], hub: WritingHub, publisher: Program
) -> None:
    hub.spoil(Fault(pattern=STEPS[step], status=429, headers=headers))
    says = "answers 429 and asks to wait 86400 s"
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=says)
    assert hub.list_files(REPOSITORY) == {}


def test_no_signed_address_is_shown(hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern=STEPS["object"], status=503))
    publish(publisher, SAMPLE_NAME, HF_HUB_VERBOSITY="info")  # looks that nothing was written to stderr
    assert hub.count("PUT .*signature=") == 2


def test_no_signed_address_is_shown_where_sending_fails(hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern=STEPS["object"], status=403, times=ALWAYS))
    told = refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="403")
    assert "signature" not in told


def test_the_client_is_afterwards_as_it_was_before(hub: WritingHub) -> None:
    hooks, verbosity = get_session().event_hooks, client_logging.get_verbosity()
    hub.spoil(Fault(pattern="GET /x", status=503, headers={"Retry-After": "121"}, times=ALWAYS))
    with watched("here"):
        assert client_logging.get_verbosity() == logging.CRITICAL
        with pytest.raises(UnavailableError, match="asks to wait 121 s"):
            get_session().get(f"{hub.url}/x")
    assert (get_session().event_hooks, client_logging.get_verbosity()) == (hooks, verbosity)
    assert get_session().get(f"{hub.url}/x").status_code == 503
