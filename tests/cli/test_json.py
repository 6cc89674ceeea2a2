"""`--json`: every record follows its published schema, an error is JSON, too, and `ok` stands first."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tools.schemas import generate_schema

Capture = pytest.CaptureFixture[str]


def run(arguments: list[str], capsys: Capture) -> tuple[int, Any]:
    exit_code = main([*arguments, "--json"])
    return exit_code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "schema", "exit_code"),
    [
        (["list"], "catalog-listing", 0),
        (["show", "sample"], "shown-bundle", 0),
        (["show", "iter8-exp4-SOTA"], "shown-entry", 0),
        (["verify", "sample"], "verification-report", 0),
        (["verify", "sample", "no.tar.gz"], "verification-report", 2),
        (["diff", "sample", "sample"], "bundle-diff", 0),
        (["doctor"], "diagnosis", 0),
        (["keygen", "--output", "key"], "key-result", 0),
        (["unpack", "sample", "--output", "tree"], "unpack-result", 0),
        (
            [
                "data",
                "synthesize",
                "--seed",
                "1",
                "--users",
                "20",
                "--items",
                "30",
                "--ratings",
                "300",
                "--output",
                "s",
            ],
            "store-result",
            0,
        ),
        (["show", "no-such-id"], "failure", 2),
        (["show", "no.tar.gz"], "failure", 2),
        (["nosuch"], "failure", 2),
        (["verify", "--nosuch"], "failure", 2),
        (["verify"], "failure", 2),
        (["train", "x.gin", "--output"], "failure", 2),
        (["show", ""], "failure", 2),
        (["unpack", "cut.tar.gz", "--output", "other"], "failure", 3),
        (["keygen", "--output", "k" * 300], "failure", 2),
        (["train", "paper-hstu-ml-1m", "--output", "run"], "failure", 4),
    ],
)
def test_a_record_follows_its_schema(
    arguments: list[str],
    schema: str,
    exit_code: int,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.tar.gz").write_bytes((shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()[:-20_000])
    found, record = run(arguments, capsys)
    assert found == exit_code
    assert next(iter(record)) == "ok"
    assert record["ok"] == (exit_code == 0)
    jsonschema.validate(record, generate_schema(schema))
    if schema == "failure":
        assert record["exit_code"] == exit_code
        assert record["error"]


def test_without_json_nothing_is_on_stdout_after_an_error(capsys: Capture) -> None:
    for arguments in (["show", "no-such-id"], ["verify", "--nosuch"], ["show", "--", "--json"]):
        assert main(arguments) == 2
        assert capsys.readouterr().out == ""
