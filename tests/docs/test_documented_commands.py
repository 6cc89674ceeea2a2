"""Every command that the documentation shows does what the page says, or is marked as one that needs more.

Each page is one story: its blocks run in order, in one new folder, without network. `pages.py` explains the marks.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.cli.reference import list_commands
from tests.docs.pages import LANGUAGES, ROOT, Block, Command, list_pages, make_command, read_blocks

PAGES = list_pages()
SHOWING = [page for page in PAGES if any(block.language in {"sh", "python"} for block in read_blocks(page))]
GENERATED = ROOT / "docs" / "reference" / "commands.md"
SECONDS = 120


def name_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What a command left behind."""

    exit_code: int
    text: str


class Reader:
    """Somebody who types what a page shows, in a folder of their own."""

    def __init__(self, folder: Path, *, capture: Callable[[], str]) -> None:
        self.folder = folder
        self.capture = capture
        self.last = Printed(exit_code=0, text="")

    def take(self, block: Block) -> None:
        """Do what a block says; a block that is no command, file or output is only read."""
        if block.needs is not None:
            return
        if block.file is not None:
            place = self.folder / block.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
        elif block.is_output:
            require_shown(block, self.last)
        elif block.language == "sh":
            for command in block.list_commands():
                self.last = self.type_in(command)
                assert self.last.exit_code == command.exit_code, (
                    f"{block.place}: {command.text}: exit code {self.last.exit_code}\n{self.last.text}"
                )
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "page"})
            self.last = Printed(exit_code=0, text=self.capture())

    def type_in(self, command: Command) -> Printed:
        """Run one command: the program alone in this process, anything else in a shell."""
        if command.is_plain:
            self.capture()
            exit_code = main(command.words[1:])
            return Printed(exit_code=exit_code, text=self.capture())
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.text],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Printed(exit_code=result.returncode, text=result.stdout + result.stderr)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reader:
    folder, home, programs = (tmp_path / name for name in ("work", "home", "bin"))
    for place in (folder, home, programs):
        place.mkdir()
    program = programs / "hstu-preserve"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hstu_preserve "$@"\n')
    program.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HSTU_PRESERVE_DATA", raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse_to_connect)
    monkeypatch.chdir(folder)

    def capture() -> str:
        printed = capsys.readouterr()
        return printed.out + printed.err

    return Reader(folder, capture=capture)


def refuse_to_connect(own: socket.socket, address: Any) -> None:  # whatever socket.connect takes
    raise AssertionError(f"a page that is not marked asked the network: {address}")


EVALUATED_BITWISE = "evaluation-bitwise|the same rank for each"


def require_shown(block: Block, printed: Printed) -> None:
    """Every line of the block is among what was printed, up to spaces, rules of tables and `…`."""

    def plain(line: str) -> str:
        words = " ".join(line.split())
        return re.sub(r"\d+\.\d+", "#", words) if block.has_machine_figures else words

    lines = [plain(line) for line in printed.text.splitlines()]
    for line in map(plain, block.text.splitlines()):
        if not line.strip("─ "):
            continue
        if re.search(EVALUATED_BITWISE, line) and any("NOT_RUN evaluation-bitwise" in one for one in lines):
            continue  # this machine's arithmetic is not the recorded one
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        find = re.search if block.is_wrapped else re.fullmatch
        assert any(find(pattern, one) for one in lines), f"{block.place}: not printed: {line}\n{printed.text}"


@pytest.mark.parametrize("page", SHOWING, ids=name_page)
def test_every_command_of_a_page_does_what_the_page_says(page: Path, reader: Reader) -> None:
    for block in read_blocks(page):
        reader.take(block)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in read_blocks(page):
        assert block.language in LANGUAGES, f"{block.place}: {block.language or 'no language'}"
        assert not block.list_unknown(), f"{block.place}: <!-- {block.list_unknown()[0]} -->"
        if block.language == "text" and block.file is None and page != GENERATED:
            hidden = [line for line in block.text.splitlines() if line.startswith(("hstu-preserve ", "$ ", "make "))]
            assert not hidden, f"{block.place}: a command in a block of text is never run: {hidden[0]}"


OPTIONS = {
    name: {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for name, command in list_commands()
}


@pytest.mark.parametrize("page", SHOWING, ids=name_page)
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    for block in read_blocks(page):
        if block.language == "sh" and block.file is None:
            for command in block.list_commands():
                require_known(command, place=block.place)


def require_known(command: Command, *, place: str) -> None:
    """The command line knows each verb and option, also of commands that are not run."""
    for words in command.list_calls():
        name = " ".join(words[:2]) if words[0] == "data" else words[0]
        if name.startswith("-"):
            continue
        assert name in OPTIONS, f"{place}: no command {name}"
        unknown = {word.split("=")[0] for word in words if word.startswith("--")} - OPTIONS[name]
        assert not unknown, f"{place}: {name} has no option {' '.join(unknown)}"


def test_every_command_of_the_program_is_shown_on_some_page() -> None:
    shown = {
        " ".join(words[:2]) if words[0] == "data" else words[0]
        for page in PAGES
        for block in read_blocks(page)
        if block.language == "sh"
        for command in block.list_commands()
        for words in command.list_calls()
    }
    assert set(OPTIONS) <= shown, set(OPTIONS) - shown


def test_a_command_with_another_exit_code_than_is_said_is_seen(reader: Reader, tmp_path: Path) -> None:
    page = ROOT / "README.md"
    block = Block(page=page, line=1, language="sh", text="hstu-preserve verify nothing\n", comments=())
    with pytest.raises(AssertionError, match="exit code 2"):
        reader.take(block)
    said = Block(page=page, line=1, language="sh", text="hstu-preserve verify nothing  # exit code 2\n", comments=())
    reader.take(said)
    shown = Block(page=page, line=1, language="text", text="all is well\n", comments=("output",))
    with pytest.raises(AssertionError, match="not printed: all is well"):
        reader.take(shown)


def test_an_option_that_is_not_there_is_seen() -> None:
    with pytest.raises(AssertionError, match="verify has no option --loudly"):
        require_known(make_command("cat x | hstu-preserve verify - --loudly"), place="here")
    with pytest.raises(AssertionError, match="no command frobnicate"):
        require_known(make_command("python -m hstu_preserve frobnicate"), place="here")
