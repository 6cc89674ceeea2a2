"""Every result record has a text, and colours never reach a pipe."""

import re
from io import StringIO
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from hstu_preserve.cli.escaped import Escaped
from hstu_preserve.cli.output import PIPE_WIDTH, emit, tell
from hstu_preserve.data.results import ExportedData, PreparedOrders
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.records import results
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import ListedExperiment
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.records.verification import Verification, VerificationReport
from hstu_preserve.report.terminal import render
from hstu_preserve.verbs.show import show
from hstu_preserve.verbs.verify import verify
from tests.forked import run_program

PARTS = {ListedExperiment, results.Capability, results.Difference, results.PublishedBundle}
"""Records that stand inside others and are not printed alone."""


def list_result_records() -> list[type[Record]]:
    classes = [value for value in vars(results).values() if isinstance(value, type) and issubclass(value, Record)]
    own = [value for value in classes if value.__module__ == results.__name__ and value not in PARTS]
    return [*own, ExportedData, PreparedOrders, Verification, VerificationReport]


@pytest.mark.parametrize("record", list_result_records(), ids=lambda record: record.__name__)
def test_every_result_record_has_a_text(record: type[Record]) -> None:
    assert render.dispatch(record) is not render.dispatch(object)
    assert TypeAdapter(record).json_schema()


def test_no_escape_sequence_reaches_a_pipe(tmp_path: Path) -> None:
    for command in (["list"], ["show", "sample"], ["verify", "sample"], ["doctor"], ["--help"]):
        result = run_program(*command, cwd=tmp_path)
        result.check_returncode()
        assert b"\x1b" not in result.stdout + result.stderr


def test_a_verification_reads_the_same_with_and_without_rich(capsys: pytest.CaptureFixture[str]) -> None:
    report = verify("sample", "nowhere/x.tar.gz")
    emit(report, as_json=False)
    plain = capsys.readouterr().out
    Console(width=PIPE_WIDTH, highlight=False, force_terminal=True, color_system="standard").print(render(report))
    styled = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == plain
    assert styled != plain


HOSTILE = "a title\nrung  REPRODUCED_BITWISE \x1b[31m\x9b2J\u202e"


def test_text_from_a_bundle_moves_no_cursor_and_starts_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show("sample")
    assert isinstance(shown, results.ShownBundle)
    run = shown.manifest.run
    bundle = run.bundle.model_copy(update={"title": HOSTILE, "licence": HOSTILE})
    claims = tuple(
        claim.model_copy(update={"policy": claim.policy.model_copy(update={"margin_derivation": HOSTILE})})
        for claim in shown.manifest.claims
    )
    manifest = shown.manifest.model_copy(update={"run": run.model_copy(update={"bundle": bundle}), "claims": claims})
    emit(shown.model_copy(update={"manifest": manifest}), as_json=False)
    printed = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e") & set(printed)
    assert printed.count(r"\x1b[31m") == 2 + len(claims)
    assert not any(line.startswith("rung") for line in printed.splitlines())


def test_whatever_forgets_to_escape_is_escaped_before_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(Escaped(Text(HOSTILE)))
    tell(HOSTILE)
    printed = capsys.readouterr()
    assert not set("\x1b\x9b\u202e") & set(printed.out + printed.err)
    assert r"\x1b[31m\x9b2J\u202e" in printed.out
    assert r"\x1b[31m\x9b2J\u202e" in printed.err


def print_at(width: int, record: Record) -> str:
    console = Console(width=width, highlight=False, file=StringIO())
    console.print(render(record))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [70, 80, 120, PIPE_WIDTH])
def test_no_value_gain_or_id_of_the_catalog_is_cut_however_narrow_the_terminal(width: int) -> None:
    listing = list_experiments()
    printed = print_at(width, listing)
    assert "…" not in printed
    for one in listing.experiments:
        assert one.entry.id in printed
        assert one.ndcg10 is None or f"{one.ndcg10:.4f}" in printed
        assert one.gain is None or f"{one.gain:+.1%}" in printed
    assert all(name in printed for name in listing.other_recipes)


@pytest.mark.parametrize("width", [50, 60, 79, 80, 100, PIPE_WIDTH])
def test_no_verdict_is_cut_however_narrow_the_terminal(width: int) -> None:
    reason = "because of a rather long story that nobody can tell in a few words, however hard they try"
    verdicts = tuple(
        Verdict(rung=rung, outcome=outcome, claim="a-long-claim", reason=reason, evidence=(), is_required=True)
        for rung, outcome in zip([*Rung] * len(Outcome), [*Outcome] * len(Rung), strict=True)
    )
    reproduction = results.Reproduction(
        target="x", path=Path("x"), identity=None, title="x", verdicts=verdicts, evaluation=None, environment=None,
        exit_code=6,
    )  # fmt: skip
    printed = print_at(width, reproduction)
    assert "…" not in printed
    for verdict in verdicts:
        assert printed.count(verdict.rung.value) >= len(Outcome)
        assert printed.count(verdict.outcome.value) >= len(Rung)
