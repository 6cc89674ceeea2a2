"""Names as long as a file system allows: files are written under them, and longer ones are refused before the work."""

import os
import zipfile
from pathlib import Path

import pytest

from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.bundle.tree import read_at_most
from hstu_preserve.cli.main import main
from hstu_preserve.errors import MissingPathError, UsageError
from hstu_preserve.primitives.files import MAX_NAME_BYTES, write_atomically
from hstu_preserve.primitives.temporaries import list_leftovers
from hstu_preserve.primitives.temporary_folders import temporary_folder, whole_folder
from hstu_preserve.raw_data.sources import open_source

LETTERS = {"one byte": "x", "two bytes": "ü", "three bytes": "あ", "four bytes": "😀", "no text": "\udcff"}
EVERY_LETTER = pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS)


def make_longest(letter: str, *, ending: str = "") -> str:
    return letter * ((MAX_NAME_BYTES - len(ending)) // len(os.fsencode(letter))) + ending


@EVERY_LETTER
def test_a_file_or_folder_of_the_longest_name_is_written(letter: str, tmp_path: Path) -> None:
    path = tmp_path / make_longest(letter)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    with whole_folder(tmp_path / make_longest(letter, ending="f")) as folder:
        (folder / "file").write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == 2


@EVERY_LETTER
def test_what_a_killed_writer_of_such_a_name_left_is_found(letter: str, tmp_path: Path) -> None:
    path = tmp_path / make_longest(letter)
    with temporary_folder(path) as folder:
        assert list_leftovers(path) == [folder]


@EVERY_LETTER
def test_a_longer_name_is_refused_before_the_work(letter: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"of which a file's has at most 255; set --output"):
        require_new(tmp_path / (make_longest(letter) + letter), option="--output")


@EVERY_LETTER
def test_nothing_lies_beside_a_file_whose_companion_s_name_would_be_too_long(letter: str, tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        read_at_most(tmp_path / (make_longest(letter) + ".sig"), max_bytes=10)


@pytest.mark.parametrize("command", ["verify", "show", "unpack", "migrate"])
def test_a_target_that_no_file_system_holds_is_an_unknown_name(command: str) -> None:
    assert main([command, "x" * 5000]) == 2
    assert main([command, f"folder/{'x' * 300}.tar.gz"]) == 2


@pytest.mark.parametrize("name", ["ratings.csv", "ml-x/ratings.csv", "ml-x\\ratings.csv", ".\\ratings.csv"])
def test_a_zip_of_windows_is_read_like_any(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("__MACOSX/ml-x/._ratings.csv", "companion")
        archive.writestr("__MACOSX\\ratings.csv", "companion")
        archive.writestr(name, "content")
    with open_source(tmp_path / "x.zip", zip_md5=None) as source, source.open("ratings.csv") as stream:
        assert stream.read() == b"content"
