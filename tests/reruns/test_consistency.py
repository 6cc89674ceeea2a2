"""`verify --deep` on the command line; `test_lies.py` says which contradictions it finds."""

import json

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.reruns.consistency import CHECKS


def test_the_sample_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--deep", "sample", "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert [check["passed"] for check in target["deep"]] == [True] * len(CHECKS)


def test_what_is_the_authors_word_alone_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--deep", "sample"]) == 0
    assert "limit: the author's word alone: title, " in capsys.readouterr().out


def test_standard_input_cannot_be_read_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "-", "--deep"]) == 2
    assert "more than once" in "".join(capsys.readouterr())
