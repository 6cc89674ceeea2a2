"""`report --html` and `compare --html`: what they read, what they replace, and how they are refused."""

import os
import shutil
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.errors import UnavailableError
from hstu_preserve.pages import extra
from hstu_preserve.pages.extra import require_extra
from hstu_preserve.records.results import Reproduction
from hstu_preserve.verbs.reproduce import RECORD_NAME, reproduce

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reproduction of the sample."""
    folder = tmp_path_factory.mktemp("reproduced") / "result"
    reproduce("sample", device="cpu", output=folder)
    return folder


@pytest.fixture
def copy(result: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(result, tmp_path / "result"))


def write(*words: str | Path, page: Path) -> tuple[int, str]:
    code = main(["report", *map(str, words), "--html", str(page)])
    return code, page.read_text(encoding="utf-8") if page.exists() else ""


def test_the_page_of_a_result_shows_curve_users_and_files(result: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "page.html"
    code, text = write(result, page=page)
    assert code == 0
    assert "REPRODUCED_NUMERIC · evaluation-numeric ndcg@10" in text
    assert "best 0.2991 (epoch 8), claimed 0.2840 (epoch 11)" in text
    assert "No rank moved: each of 500 users has the recorded one." in text
    assert "ndcg@10 by events before the target" in text
    assert "Not shown" not in text
    assert str(page) in capsys.readouterr().out
    assert not (tmp_path / "PRESERVATION_REPORT.md").exists()
    # The same page once more: an earlier one is replaced, and its bytes are the same.
    assert write(result / RECORD_NAME, page=page)[1] == text
    assert "unchanged" in capsys.readouterr().out


def test_another_file_is_never_replaced(result: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><p>mine")
    assert write(result, page=page) == (2, "<!doctype html><p>mine")
    assert "no report that this command wrote" in capsys.readouterr().err
    assert main(["report", str(result), "--html", str(page), "--markdown", str(page)]) == 2


def test_ranks_that_the_record_does_not_name_are_not_shown(copy: Path, tmp_path: Path) -> None:
    record = Reproduction.from_json((copy / RECORD_NAME).read_bytes(), source="test")
    assert record.evaluation is not None
    other = record.evaluation.model_copy(update={"ranks_sha256": "0" * 64})
    (copy / RECORD_NAME).write_bytes(record.model_copy(update={"evaluation": other}).to_json())
    _, text = write(copy, page=tmp_path / "page.html")
    assert "not the ranks that the record names" in text
    assert "No rank moved" not in text


def test_nothing_is_shown_of_another_bundle_than_the_judged_one(copy: Path, tmp_path: Path) -> None:
    record = Reproduction.from_json((copy / RECORD_NAME).read_bytes(), source="test")
    (copy / RECORD_NAME).write_bytes(record.model_copy(update={"identity": "0" * 64}).to_json())
    _, text = write(copy, page=tmp_path / "page.html")
    assert "another bundle than the judged one" in text
    assert "Recipe and contents" not in text


def test_a_record_that_names_a_pipe_reads_nothing_of_it(copy: Path, tmp_path: Path) -> None:
    record = Reproduction.from_json((copy / RECORD_NAME).read_bytes(), source="test")
    pipe = tmp_path / "pipe.tar.gz"
    os.mkfifo(pipe)
    changed = record.model_copy(update={"path": pipe, "target": str(tmp_path / "absent.tar.gz")})
    (copy / RECORD_NAME).write_bytes(changed.to_json())
    code, text = write(copy, page=tmp_path / "page.html")
    assert code == 0
    assert "absent.tar.gz: no such file" in text


@pytest.mark.parametrize("content", ["{", "{}", "[]", "\x00"])
def test_what_is_no_record_is_refused(content: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / RECORD_NAME).write_text(content)
    assert write(tmp_path, page=tmp_path / "page.html") == (3, "")
    assert RECORD_NAME in capsys.readouterr().err


def test_without_the_extra_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("jinja2", "a_package_that_nobody_has"))
    with pytest.raises(UnavailableError, match="a_package_that_nobody_has not installed"):
        require_extra()
    assert write("sample", page=tmp_path / "page.html") == (4, "")
    assert "[report]" in capsys.readouterr().err
    assert main(["compare", "anything", "--html", str(tmp_path / "page.html")]) == 4
