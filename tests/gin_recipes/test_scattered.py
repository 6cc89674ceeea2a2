"""Includes that lie elsewhere are found by their names, and never outside of the root."""

from pathlib import Path

import pytest

from hstu_preserve.errors import MissingPathError, RecipeError
from hstu_preserve.gin_recipes import scattered
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.scattered import read_scattered_chain
from tests.gin_recipes.test_gin_reader import values, write


def read(root: Path, files: dict[str, str], *, below: str = "") -> tuple[dict[str, object], tuple[str, ...]]:
    found = read_scattered_chain(write(root, files), root=root / below)
    return values(found.chain), found.found_by_name


@pytest.mark.parametrize(
    "include",
    [
        "configs/ml-1m/base.gin",
        "/home/somebody/configs/base.gin",
        "../../common/base.gin",
        "sub/../x/base.gin",
        "base.gin",
    ],
)
def test_a_displaced_include_is_the_only_file_of_its_name(include: str, tmp_path: Path) -> None:
    found, said = read(tmp_path, {"a.gin": f"include '{include}'\nf.y = 2", "deep/er/base.gin": "f.x = 1"})
    assert found == {"f.x": 1, "f.y": 2}
    assert said == (f"a.gin:1: include {include!r} is deep/er/base.gin, the only file of that name",)


def test_beside_and_root_come_first_and_are_not_told(tmp_path: Path) -> None:
    files = {"sub/a.gin": "include 'b.gin'\ninclude 'c.gin'", "sub/b.gin": "f.b = 1", "c.gin": "f.c = 1"}
    others = {"x/b.gin": "f.b = 2", "x/c.gin": "f.c = 2"}
    assert read(tmp_path, files | others) == ({"f.b": 1, "f.c": 1}, ())


def test_two_files_of_the_name_are_a_choice_that_nobody_makes(tmp_path: Path) -> None:
    files = {"a.gin": "include 'no/b.gin'", "x/b.gin": "f.b = 1", "y/b.gin": "f.b = 1"}
    with pytest.raises(RecipeError, match=r"a\.gin:1: include 'no/b\.gin': 2 files of that name \(x/b.gin, y/b.gin\)"):
        read(tmp_path, files)


def test_a_file_outside_of_the_root_is_not_found(tmp_path: Path) -> None:
    files = {"in/a.gin": "include 'b.gin'", "out/b.gin": "f.b = 1"}
    with pytest.raises(MissingPathError, match="no such file"):
        read(tmp_path, files, below="in")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    with pytest.raises(MissingPathError, match="no such file"):
        read(tmp_path, files, below="in")
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "b.gin").symlink_to(tmp_path / "out" / "b.gin")
    with pytest.raises(RecipeError, match="leads outside of the gin root"):
        read(tmp_path, files, below="in")


def test_an_include_that_is_nowhere_keeps_its_own_reason(tmp_path: Path) -> None:
    for include, reason in {"../b.gin": "leads outside", "/b.gin": "is absolute", "b.gin": "no such file"}.items():
        with pytest.raises((RecipeError, MissingPathError), match=reason):
            read(tmp_path, {"a.gin": f"include '{include}'", ".hidden/b.gin": "f.b = 1", "._b.gin": ""})


def test_a_root_of_a_whole_disk_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scattered, "MAX_FILES_SEARCHED", 2)
    files = {"a.gin": "include 'no/b.gin'", "x/b.gin": "f.b = 1", "y/c.gin": "", "y/d.gin": ""}
    with pytest.raises(RecipeError, match="more than 2 files lie below the gin root"):
        read(tmp_path, files)


def test_cycles_are_found_there_too(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="include cycle"):
        read(tmp_path, {"a.gin": "include 'no/b.gin'", "x/b.gin": "include 'no/a.gin'"})


def test_what_is_whole_reads_as_it_always_did(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.gin": "f.x = 1\ninclude 'sub/b.gin'", "sub/b.gin": "f.y = 2"})
    assert read_scattered_chain(path, root=None).chain == read_chain(path, root=None)
