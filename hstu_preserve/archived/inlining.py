"""Write a gin file and all that it includes as one file, so that no include depends on where a run is started."""

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.overlay import parse_binding
from hstu_preserve.gin_recipes.reader import MAX_CHAIN_BYTES, MAX_FILES_READ, IncludeStatement, parse
from hstu_preserve.legacy.chains import LegacyChainReading
from hstu_preserve.primitives.text import decode_utf8


@dataclass(frozen=True, kw_only=True)
class InlinedChain:
    """A chain as one text.

    Attributes:
        chain: The files' text, includes replaced.
        overlay: The lines that follow it.
        files: The chain's files, the entry first.
    """

    chain: str
    overlay: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def text(self) -> str:
        """What the run reads: the last value of a name counts, so that the overlay's do."""
        lines = "".join(f"{line}\n" for line in self.overlay)
        return f"{self.chain}\n# added for this run\n{lines}" if lines else self.chain

    @property
    def chain_sha256(self) -> str:
        """Of the text without the overlay."""
        return hashlib.sha256(self.chain.encode()).hexdigest()

    @property
    def sha256(self) -> str:
        """Of the text with the overlay."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(kw_only=True)
class Inlining:
    """One chain while it is written out.

    Attributes:
        contents: Every gin file by its path in the archive.
        reading: Reads the same chain; it finds includes, and refuses cycles and depth.
        files: Those that were written out so far, in order.
        size: Characters so far.
    """

    contents: Mapping[str, bytes]
    reading: LegacyChainReading
    files: list[str] = field(default_factory=list)
    size: int = 0

    def write(self, file: str) -> str:
        """Return the file's text, each include replaced by the text of the file."""
        self.files.append(file)
        if len(self.files) > MAX_FILES_READ:
            raise RecipeError(f"{file}: the chain reads more than {MAX_FILES_READ} files")
        text = decode_utf8(self.contents[file])
        lines = text.splitlines(keepends=True)
        for statement in parse(self.contents[file], file=file, path=Path(file)):
            if isinstance(statement, IncludeStatement):
                included = self.reading.find_included(statement, folder=posixpath.dirname(file))
                lines[statement.location.line - 1] = self.write(included)
        self.size += len(text)
        if self.size > MAX_CHAIN_BYTES:
            raise RecipeError(f"{file}: the chain is larger than {MAX_CHAIN_BYTES} bytes")
        return end_line("".join(lines))


def end_line(text: str) -> str:
    """Return the text with a line break at its end."""
    return text if text.endswith("\n") or not text else f"{text}\n"


def inline_chain(contents: Mapping[str, bytes], *, entry: str, root: str, overlay: Sequence[str]) -> InlinedChain:
    """Return a chain as one text.

    Args:
        contents: Every gin file by its path in the archive.
        entry: The file that a run would be given.
        root: The folder that includes are also looked up in.
        overlay: Bindings that follow the chain.

    Raises:
        RecipeError: The chain cannot be read, imports something, or an overlay line is no binding.
    """
    reading = LegacyChainReading(contents, root=root)
    reading.read(entry, including=(), at=None)
    for line in overlay:
        parse_binding(line)
    inlining = Inlining(contents=contents, reading=reading)
    return InlinedChain(chain=inlining.write(entry), overlay=tuple(overlay), files=tuple(dict.fromkeys(inlining.files)))
