"""Every result record has a text, and colours never reach a pipe."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from hstu_preserve.cli.output import PIPE_WIDTH, emit
from hstu_preserve.records import results
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import ListedExperiment
from hstu_preserve.records.verification import Verification, VerificationReport
from hstu_preserve.report.terminal import render
from hstu_preserve.workflows.verify import verify_all

PARTS = {ListedExperiment, results.Capability, results.Difference, results.PublishedBundle}
"""Records that stand inside others and are not printed alone."""


def list_result_records() -> list[type[Record]]:
    classes = [value for value in vars(results).values() if isinstance(value, type) and issubclass(value, Record)]
    own = [value for value in classes if value.__module__ == results.__name__ and value not in PARTS]
    return [*own, Verification, VerificationReport]


@pytest.mark.parametrize("record", list_result_records(), ids=lambda record: record.__name__)
def test_every_result_record_has_a_text(record: type[Record]) -> None:
    assert render.dispatch(record) is not render.dispatch(object)
    assert TypeAdapter(record).json_schema()


def test_no_escape_sequence_reaches_a_pipe(tmp_path: Path) -> None:
    for command in (["list"], ["show", "sample"], ["verify", "sample"], ["doctor"], ["--help"]):
        result = subprocess.run(
            [sys.executable, "-m", "hstu_preserve", *command], cwd=tmp_path, capture_output=True, check=True
        )
        assert b"\x1b" not in result.stdout + result.stderr


def test_a_verification_reads_the_same_with_and_without_rich(capsys: pytest.CaptureFixture[str]) -> None:
    report = verify_all(["sample", "nowhere/x.tar.gz"])
    emit(report, as_json=False)
    plain = capsys.readouterr().out
    Console(width=PIPE_WIDTH, highlight=False, force_terminal=True).print(render(report))
    styled = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == plain
    assert styled != plain
