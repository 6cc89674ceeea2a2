"""What is judged is what was verified: a directory is read once, and nobody changes what was read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.contents import FindingClass
from tests.factories import make_sealed_run

CHECKPOINT = "ckpts/x_ep1"
WEIGHTS = b"weights" * 400_000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    make_sealed_run(root, files={CHECKPOINT: WEIGHTS})
    return root


def exchange_a_file(run: Path) -> None:
    (run / CHECKPOINT).write_bytes(b"other")


def exchange_a_folder(run: Path) -> None:
    (run / "ckpts").rename(run / "before")
    (run / "ckpts").symlink_to(run / "before")
    (run / "before" / "x_ep1").write_bytes(b"other")


def exchange_the_run(run: Path) -> None:
    shutil.rmtree(run)
    make_sealed_run(run, files={CHECKPOINT: b"other"})


CHANGES = [exchange_a_file, exchange_a_folder, exchange_the_run]


@pytest.mark.parametrize("change", CHANGES)
def test_a_directory_that_changes_after_it_was_verified_is_judged_as_it_was(
    run: Path, change: Callable[[Path], None]
) -> None:
    names = sorted(path.relative_to(run) for path in run.rglob("*"))
    with open_verified(run, known=None) as tree:
        assert tree.verification.ok
        change(run)
        assert (tree.root / CHECKPOINT).read_bytes() == WEIGHTS
        assert sorted(path.relative_to(tree.root) for path in tree.root.rglob("*")) == names
        assert verify_tree(tree.root).identity == tree.verification.identity
    assert not tree.root.exists()


def change_once(change: Callable[[], object]) -> Voice:
    """Return a voice that changes something after the first bytes of a file were read."""
    waiting = [change]

    def show(progress: Progress) -> None:
        if waiting and progress.completed:
            waiting.pop()()

    return Voice(show=show)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_copied_as_it_was_compared(
    run: Path, change: Callable[[Path], None]
) -> None:
    with open_verified(run, known=None, voice=change_once(lambda: change(run))) as tree:
        is_as_packed = (tree.root / CHECKPOINT).read_bytes() == WEIGHTS
        assert not tree.verification.ok or (is_as_packed and verify_tree(tree.root).ok)


def test_a_file_that_grows_without_end_is_not_read_without_end(run: Path) -> None:
    with open_verified(run, known=None, voice=change_once(lambda: os.truncate(run / CHECKPOINT, 2**40))) as tree:
        assert [finding.finding_class for finding in tree.verification.findings] == [FindingClass.CHANGED]
        assert (tree.root / CHECKPOINT).stat().st_size < 2**24


def test_files_that_the_manifest_does_not_list_are_not_copied(run: Path) -> None:
    (run / "data").mkdir()
    (run / "data" / "more.bin").write_bytes(b"more")
    with open_verified(run, known=None) as tree:
        assert [finding.finding_class for finding in tree.verification.findings] == [FindingClass.UNEXPECTED]
        assert not (tree.root / "data").exists()


def test_a_directory_of_another_manifest_than_was_looked_at_is_refused(run: Path) -> None:
    known = read_tree_manifest(run)
    exchange_the_run(run)
    with pytest.raises(ContentError, match="changed while it was worked on"), open_verified(run, known=known):
        pass
