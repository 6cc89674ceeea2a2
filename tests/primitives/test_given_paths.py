"""A leading `~` that the shell left, as in quotes and after `--output=`."""

from pathlib import Path

import pytest

from hstu_preserve.cli.main import expand_argument


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("prefix", ["", "--output=", "--data=", "--md5-list="])
def test_the_users_home_is_meant(prefix: str, home: Path) -> None:
    assert expand_argument(f"{prefix}~/x y") == f"{prefix}{home}/x y"
    assert expand_argument(f"{prefix}~") == f"{prefix}{home}"


@pytest.mark.parametrize("text", ["a~", "./~/x", "hf://a/b/~", "--output=a~/b", "~nobody-of-this-name/x", "-", "--all"])
def test_no_other_argument_is_touched(text: str) -> None:
    assert expand_argument(text) == text


def test_a_folder_of_that_name_stays_itself(tmp_path: Path) -> None:
    (tmp_path / "~").mkdir()
    assert expand_argument("--output=~/x") == "--output=~/x"
