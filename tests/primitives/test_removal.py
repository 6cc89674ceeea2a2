"""A folder is removed, whatever may be written in it; root may do everything, so that another user removes it."""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hstu_preserve.primitives.removal import remove_tree

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the other user reaches: those of pytest are for their maker alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def fill(folder: Path, *, outside: Path) -> None:
    """Make folders that may not be written, listed or entered, and a link out of them."""
    for name in ("", "inner", "inner/hidden", "inner/entered"):
        (folder / name).mkdir()
    for name in ("a.py", "inner/b.py", "inner/hidden/c.py", "inner/entered/d.py"):
        (folder / name).write_text("x")
    (folder / "inner" / "link").symlink_to(outside)
    for name, mode in {"inner/hidden": 0o000, "inner/entered": 0o111, "inner": 0o555, "": 0o555}.items():
        (folder / name).chmod(mode)


def give_to_nobody(place: Path) -> None:
    for one in (place, *place.rglob("*")):
        os.chown(one, NOBODY, NOBODY, follow_symlinks=False)


def remove_as_nobody(folder: Path) -> None:
    """Remove it as somebody to whom permissions apply; for a process of its own."""
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    remove_tree(folder)


def test_folders_that_may_not_be_written_are_removed_and_links_are_not_followed(place: Path) -> None:
    outside = place / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    outside.chmod(0o555)
    fill(place / "own", outside=outside)
    if os.getuid() == 0:
        give_to_nobody(place)
        child = multiprocessing.get_context("forkserver").Process(target=remove_as_nobody, args=(place / "own",))
        child.start()
        child.join()
        assert child.exitcode == 0
    else:
        remove_tree(place / "own")
    assert not (place / "own").exists()
    assert (outside / "kept").read_text() == "kept"
    assert outside.stat().st_mode & 0o777 == 0o555


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove_tree(tmp_path / "absent")
