"""No text of a bundle makes a heading, a row, markup or a control sequence, in whatever form it is printed."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hstu_preserve.cli.escaped import Escaped
from hstu_preserve.cli.output import format_json
from hstu_preserve.compute.machine import describe_environment
from hstu_preserve.errors import ContentError
from hstu_preserve.records.contents import Finding, FindingClass
from hstu_preserve.records.manifest import read_manifest
from hstu_preserve.records.results import BundleDiff, Difference, Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.records.verification import Verification, VerificationReport, VerifiedTarget
from hstu_preserve.report.preservation_report import write_preservation_report
from hstu_preserve.report.terminal import render
from hstu_preserve.report.verification import list_report

TEXTS = {
    "a heading": "x\n\n### iter8-exp4-SOTA\n\nREPRODUCED_BITWISE",
    "a heading underlined": "x\n===\n",
    "a row": "x |\n| bytes |  | REPRODUCED_BITWISE | forged",
    "a cell": "x | REPRODUCED_BITWISE | forged",
    "HTML": "<h3>forged</h3><script>alert(1)</script><!--",
    "the end of code": "x` **REPRODUCED_BITWISE** `",
    "a link": "[forged](https://example.org) ![x](https://example.org/x.png)",
    "an entity": "&lt;h3&gt;",
    "rich markup": "[bold red]forged[/] [link=https://example.org]x[/link] [/]",
    "control sequences": "\x1b[2J\x1b]8;;https://example.org\x07x\x9b31m\x7f",
    "hidden letters": "x\u202eforged\u2066\u200b\U000e0041",
    "other line ends": "x\u2028forged\u2029\x85\x0b\x0c\r",
}
EVERY_TEXT = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def make_reproduction(text: str) -> Reproduction:
    verdict = Verdict(
        rung=Rung.BYTES, outcome=Outcome.NOT_REPRODUCED, claim=text, reason=text, evidence=(), is_required=True
    )
    return Reproduction(
        target=text,
        path=Path("x"),
        identity=None,
        title=text,
        verdicts=(verdict,),
        evaluation=None,
        environment=None,
        exit_code=5,
    )


def write_report(text: str) -> str:
    reproductions = [make_reproduction(text)]
    return write_preservation_report(listed=[], reproductions=reproductions, environment=describe_environment(None))


@EVERY_TEXT
def test_the_preservation_report_keeps_its_form(text: str) -> None:
    plain, report = write_report("x").splitlines(), write_report(text).splitlines()
    assert len(report) == len(plain)
    for line, expected in zip(report, plain, strict=True):
        assert line.count("|") == expected.count("|")
        assert line.startswith("#") == expected.startswith("#")
        assert line.isprintable()
        assert not re.search(r"<|\]\(|\*\*", line.replace("<https", ""))
        if "`" not in expected:
            assert "`" not in line


def print_text(record: object) -> str:
    output = StringIO()
    console = Console(file=output, width=4000, highlight=False, force_terminal=False)
    console.print(Escaped(render(record)))  # type: ignore[arg-type]  # any record
    return output.getvalue()


@EVERY_TEXT
def test_a_table_has_no_row_and_no_style_of_a_name(text: str) -> None:
    difference = Difference(section="recipe", name=text, left=text, right=None)
    lines = [
        print_text(
            BundleDiff(left=one, right="b", left_identity="0" * 64, right_identity="0" * 64, differences=(difference,))
        ).splitlines()
        for one in ("plain", text)
    ]
    assert len(lines[0]) == len(lines[1])
    if text == TEXTS["rich markup"]:
        assert "[bold red]forged[/]" in lines[1][0]
    assert len(print_text(make_reproduction(text)).splitlines()) == len(print_text(make_reproduction("x")).splitlines())


@EVERY_TEXT
def test_a_verification_has_no_line_of_a_name(text: str) -> None:
    finding = Finding(finding_class=FindingClass.BAD_MANIFEST, path=text, expected=text, found=text)
    verification = Verification(
        source="x",
        identity=None,
        transport_sha256=None,
        manifest=None,
        findings=(finding,),
        members_checked=0,
        bytes_checked=0,
    )
    target = VerifiedTarget(target="x", verification=verification, deep=(), error=None, exit_code=3)
    lines = [str(line) for line in list_report(VerificationReport(targets=(target,)))]
    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 2


@EVERY_TEXT
def test_a_field_of_a_manifest_makes_no_line_of_the_error_about_it(text: str) -> None:
    for content in ({"schema_version": 0, text: 1}, {"schema_version": 0, "kind": text}):
        written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        with pytest.raises(ContentError) as caught:
            read_manifest(written, source="MANIFEST.json")
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).isprintable()


@EVERY_TEXT
def test_json_on_a_terminal_steers_nothing_and_says_the_same(text: str) -> None:
    record = make_reproduction(text)
    shown = format_json(record)
    assert all(line.isprintable() for line in shown.split("\n"))
    value = record.to_json_value()
    assert isinstance(value, dict)
    assert json.loads(shown) == {"ok": record.ok, "schema_version": 1, **value}
