"""What help shows: whole summaries, examples that can be typed; and what the shell completes."""

import shlex
from typing import Any

import pytest
import typer.main

from hstu_preserve.cli.app import app
from hstu_preserve.cli.completion import complete_datasets, complete_ids, complete_recipes, complete_rungs
from hstu_preserve.cli.main import main
from hstu_preserve.cli.reference import list_commands

COMMANDS = dict(list_commands())


def list_examples(command: Any) -> list[str]:
    heading, *examples = command.epilog.removeprefix("\b\n").splitlines()
    assert heading == "Examples:"
    return [example.strip() for example in examples]


@pytest.mark.parametrize("columns", [80, 100, 120])
@pytest.mark.parametrize("arguments", [["--help"], ["data", "--help"]])
def test_no_summary_is_cut(
    arguments: list[str], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    prefix = "data " if arguments[0] == "data" else ""
    for name, command in COMMANDS.items():
        if name.startswith(prefix) and (prefix or " " not in name):
            summary = command.help.strip().partition("\n\n")[0].removesuffix(".")
            assert f"{name.removeprefix(prefix)} {summary}" in shown
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_it_understands(name: str) -> None:
    examples = list_examples(COMMANDS[name])
    assert examples
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "hstu-preserve"
        command, arguments = typer.main.get_command(app), words
        for part in name.split():
            assert arguments.pop(0) == part
            command = command.commands[part]  # type: ignore[attr-defined]
        command.make_context(name, arguments)  # raises for an option or an argument that it does not know


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_line_wider_than_the_terminal_and_none_that_ends_in_blanks(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_shell_completes_ids_recipes_rungs_and_datasets() -> None:
    assert complete_ids("iter8-exp4") == ["iter8-exp4-SOTA"]
    assert complete_ids("sa") == ["sample"]
    assert complete_recipes("control-base-d") == ["control-base-dropout-0.1"]
    assert complete_rungs("") == ["evaluation", "resume", "training"]
    assert "ml-20m" in complete_datasets("ml-2")
    assert "ml-1m" not in complete_datasets("ml-2")
    assert complete_ids("no-such") == []  # then the shell completes file names


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hstu-preserve verify iter8-exp4", "iter8-exp4-SOTA"),
        ("hstu-preserve reproduce sample --rung res", "resume"),
        ("hstu-preserve train paper-sasrec-ml-1", "paper-sasrec-ml-1m"),
        ("hstu-preserve data prepare ml-32", "ml-32m"),
        ("hstu-preserve export sample --format mod", "model-card"),
        ("hstu-preserve compare studies --metric ndcg@2", "ndcg@200"),
        ("hstu-preserve diff paper-sasrec-ml-1", "paper-sasrec-ml-1m"),
    ],
)
def test_a_shell_that_asks_gets_the_completion(
    typed: str, completed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_HSTU_PRESERVE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    main([])
    assert capsys.readouterr().out.split() == [completed]
