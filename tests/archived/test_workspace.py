"""A run finds what it reads at its places, as copies, and never through a link into something else."""

from pathlib import Path

import pytest

from hstu_preserve.archived.workspace import (
    Stage,
    describe_staged,
    list_staged,
    make_work_folder,
    parse_stage,
    parse_variable,
    stage,
)
from hstu_preserve.errors import MissingPathError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes


@pytest.fixture
def work(tmp_path: Path) -> Path:
    code = tmp_path / "code" / "fork"
    (code / "configs").mkdir(parents=True)
    (code / "configs" / "a.gin").write_text("x.a = 1\n")
    (code / "main.py").write_text("")
    (code / "tmp").mkdir()
    (code / "tmp" / "old.csv").write_text("")
    folder = tmp_path / "work"
    make_work_folder(folder, code=tmp_path / "code")
    return folder


def test_the_top_of_the_code_is_linked_but_not_where_runs_write(work: Path) -> None:
    assert sorted(path.name for path in work.iterdir()) == ["configs", "main.py"]
    assert (work / "configs" / "a.gin").read_text() == "x.a = 1\n"
    assert not (work / "configs").readlink().is_absolute()


def test_what_is_staged_is_copied_and_described_by_digest(work: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.csv").write_text("1,2\n")
    stage([Stage(source=tmp_path / "data", place="tmp/toy")], work)
    (work / "tmp" / "toy" / "events.csv").write_text("changed by the code\n")
    assert (tmp_path / "data" / "events.csv").read_text() == "1,2\n"
    assert [path.relative_to(work).as_posix() for path in list_staged(work)] == ["tmp/toy/events.csv"]
    (fact,) = describe_staged(work)
    assert (fact.name, fact.value) == ("staged tmp/toy/events.csv", sha256_of_bytes(b"changed by the code\n"))


def test_many_files_have_one_digest(work: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(40):
        (tmp_path / "data" / f"{number}.csv").write_text("")
    stage([Stage(source=tmp_path / "data", place="tmp")], work)
    assert [fact.name for fact in describe_staged(work)] == ["staged files", "staged listing"]


@pytest.mark.parametrize("place", ["configs/a.gin", "configs/b.gin", "main.py"])
def test_nothing_is_staged_over_or_into_the_code(work: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UsageError, match="the code has something there already"):
        stage([Stage(source=tmp_path / "x", place=place)], work)


@pytest.mark.parametrize("text", ["x", "=tmp/x", "x=", "x=/etc/x", "x=../x", "x=a/../../b"])
def test_a_stage_is_a_source_and_a_place_inside(text: str) -> None:
    with pytest.raises(UsageError):
        parse_stage(text)


def test_a_stage_needs_its_source(tmp_path: Path) -> None:
    (tmp_path / "a=b").write_text("")
    assert parse_stage(f"{tmp_path}/a=b=tmp/x") == Stage(source=tmp_path / "a=b", place="tmp/x")
    with pytest.raises(MissingPathError, match="no such file"):
        parse_stage(f"{tmp_path}/nothing=tmp/x")


@pytest.mark.parametrize("text", ["A", "=1", "A B=1", "1A=1"])
def test_a_variable_is_a_name_and_a_value(text: str) -> None:
    assert parse_variable("A=b=c") == ("A", "b=c")
    with pytest.raises(UsageError):
        parse_variable(text)
