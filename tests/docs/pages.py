"""The documentation as data: its pages, their fenced blocks, and the commands in them.

A block's language says what it is: `sh` is commands, `python` is a program, `text` is what is printed. An HTML comment
directly above a block says more; readers of the page do not see it:

    <!-- needs: hub -->       not run: it needs the Hub, a GPU, MovieLens, Amazon's ratings, Slurm, or an installation
    <!-- file: my.gin -->     no command: a file with this content
    <!-- output -->           the lines that the last command printed; `…` stands for anything
    <!-- output, figures may differ -->   likewise, but decimal numbers depend on the machine
    <!-- output, wrapped -->              likewise, as a narrower terminal breaks lines

`# exit code 3` at the end of a command is what it exits with; without it, 0.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- (.+?) -->")
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
SHELL_SYNTAX = re.compile(r"[|&;<>$*?~`(){}\\]")
OPERATORS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}
NEEDS = {"hub", "gpu", "movielens", "amazon", "slurm", "installation"}
"""What a block may need that the test does not have."""
FIGURES_DIFFER = "output, figures may differ"
WRAPPED = "output, wrapped"
OUTPUTS = {"output", FIGURES_DIFFER, WRAPPED}
LANGUAGES = {"sh", "python", "text", "json", "yaml", "{eval-rst}", "{toctree}", "{include}"}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a block, and what it exits with."""

    text: str
    exit_code: int

    @property
    def words(self) -> list[str]:
        """The words, comments left out."""
        return shlex.split(self.text, comments=True)

    @property
    def is_plain(self) -> bool:
        """Whether it is the program with its arguments, and nothing that a shell must read."""
        before, *_ = self.text.split(" #")
        return before.startswith("hstu-preserve ") and not SHELL_SYNTAX.search(before)

    def list_calls(self) -> Iterator[list[str]]:
        """Yield the arguments of each call of the program."""
        words = self.words
        if words[:1] == ["docker"]:  # the program's name is the image's, too
            words = words[words.index("hstu-preserve") :] if words[1] == "run" else []
        starts = [
            index + 1
            for index, word in enumerate(words)
            if word == "hstu-preserve" or (word == "hstu_preserve" and words[index - 1] == "-m")
        ]
        for start in starts:
            ends = [index for index in range(start, len(words)) if words[index] in OPERATORS]
            if arguments := words[start : min(ends, default=len(words))]:
                yield arguments


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    comments: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> str | None:
        """What it needs that the test has not; None if it is run."""
        return self.find("needs: ")

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        return self.find("file: ")

    @property
    def is_output(self) -> bool:
        """Whether it shows what the last command printed."""
        return not OUTPUTS.isdisjoint(self.comments)

    @property
    def is_wrapped(self) -> bool:
        """Whether the lines are parts of what was printed."""
        return WRAPPED in self.comments

    @property
    def has_machine_figures(self) -> bool:
        """Whether decimal numbers in the output depend on the machine."""
        return FIGURES_DIFFER in self.comments

    def list_unknown(self) -> list[str]:
        """Return the comments that say nothing which is known: a misspelt mark would be no mark."""
        known = {f"needs: {self.needs}", f"file: {self.file}", *OUTPUTS}
        return [comment for comment in self.comments if comment not in known or self.needs not in {None, *NEEDS}]

    def find(self, beginning: str) -> str | None:
        """Return the rest of the comment that begins so."""
        return next((text.removeprefix(beginning) for text in self.comments if text.startswith(beginning)), None)

    def list_commands(self) -> list[Command]:
        """Return the commands, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [make_command(line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def make_command(line: str) -> Command:
    """Return a line's command and its exit code."""
    said = EXIT_CODE.search(line)
    return Command(text=line, exit_code=int(said[1]) if said else 0)


def list_pages() -> list[Path]:
    """Return every page that shows commands to readers."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in FENCE.finditer(text):
        above = text[: found.start()].rstrip("\n").splitlines()
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, found.start()) + 1,
                language=found[3],
                text=found[4],
                comments=tuple(read_comments(above)),
            )
        )
    return blocks


def read_comments(above: Sequence[str]) -> Iterator[str]:
    """Yield the comments that stand directly above a block, the nearest first."""
    for line in reversed(above):
        found = COMMENT.fullmatch(line.strip())
        if not found:
            return
        yield found[1]
