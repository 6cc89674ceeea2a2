"""Read the digests in a Markdown text, such as the published archive's `MANIFEST.md`; nothing is guessed.

A table with a row for each file is the common form. List items, headings with the digest in a line below, and the lines
of checksum tools are read, too: the list of another repository may have any of these forms. A name is the whole of what
stands in the name's place: part of it may be the name of another file.
"""

import re

from hstu_preserve.digest_lists.checksum_lines import read_checksum_line
from hstu_preserve.digest_lists.digest_list import DigestList, merge
from hstu_preserve.digest_lists.markdown_names import looks_like_file, read_cell, read_item, split_row
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.records.legacy.outcomes import ListedFile

# Longer lines are of no list that a person reads, and every pattern's time is bounded by the line.
MAX_LINE_CHARACTERS = 2000

HEX = r"(?<![0-9A-Za-z])[0-9a-fA-F]{%d}(?![0-9A-Za-z])"
MD5 = re.compile(HEX % 32)
SHA256 = re.compile(HEX % 64)
DIGEST = re.compile(rf"(?:{HEX % 64})|(?:{HEX % 32})")
EXACT_SIZE = re.compile(r"(?<![\w.,])(?P<size>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15}) ?(?:bytes|B)\b")
HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+(?P<text>\S.*)")
COMMENT = re.compile(rf"[ \t]*#+[ \t]*\\?(?:{HEX % 64}|{HEX % 32})")
"""A digest behind a `#`: a line that its author has taken out of a checksum list; `md5sum -c` passes over it."""
BULLET = re.compile(r"[ \t>]*(?:(?:[-*+]|[0-9]{1,9}[.)]|#{1,6})[ \t]+)?")
TABLE_RULE = re.compile(r"[\s|:-]+")

NAME_COLUMNS = ("file", "filename", "file name", "path", "archive", "tarball", "bundle", "name")
"""Titles of the column that holds the file's name; a name of another kind may stand beside it, so `name` is last."""


def parse_lines(text: str, *, source: str) -> DigestList:
    """Read md5 (and sha256) digests from tables, list items, headings with details, and checksum tools' lines.

    Raises:
        ContentError: It gives one name two digests.
    """
    reading = MarkdownReading(source)
    # At line feeds alone: a name may hold any other character that Python takes for the end of a line.
    for number, line in enumerate(text.split("\n"), start=1):
        reading.read(line.removesuffix("\r"), number=number)
    return DigestList(files=merge(reading.found.files, source=source), unattributed=reading.found.unattributed)


class MarkdownReading:
    """A list while it is read: the current table's columns and the heading that details may belong to."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found = DigestList()
        self.columns: list[str] = []
        self.heading: str | None = None

    def read(self, line: str, *, number: int) -> None:
        """Take in one line."""
        place = f"line {number}"
        if len(line) > MAX_LINE_CHARACTERS:
            if DIGEST.search(line):
                self.found.unattributed.append(place)
            return
        has_digest = DIGEST.search(line) is not None
        if (heading := HEADING.fullmatch(line)) and not has_digest:
            self.heading = read_cell(strip_closing_marks(heading["text"]))
        cells = split_row(line)
        if not cells:
            self.columns = []
        elif not has_digest and not TABLE_RULE.fullmatch(line):
            self.columns = [read_cell(cell).casefold() for cell in cells]
        if not has_digest:
            return
        file = self.find_file(line, cells=cells, place=place)
        if file is None:
            # Never dropped in silence: somebody may have meant it to protect a file.
            self.found.unattributed.append(place)
        else:
            self.found.files.append(file)

    def find_file(self, line: str, *, cells: list[str], place: str) -> ListedFile | None:
        """Return the one file that the line gives one digest of each kind for, or None."""
        item = line[BULLET.match(line).end() :]  # type: ignore[union-attr]  # it matches every line
        if COMMENT.match(line):
            return None
        if printed := read_checksum_line(line) or read_checksum_line(item):
            name, digests = printed.name, [printed.digest]
        else:
            name, digests = self.find_name(item, cells=cells), DIGEST.findall(line)
        by_length = {len(digest): digest.lower() for digest in digests}
        if not name or len(by_length) < len(digests):  # of several, which is the file's cannot be told
            return None
        return ListedFile(
            name=name.removeprefix("./"),
            md5=by_length.get(32),
            sha256=by_length.get(64),
            size=self.find_size(line, cells=cells),
            place=place,
        )

    def find_name(self, item: str, *, cells: list[str]) -> str | None:
        """Return the name that the digests of a row, or else of an item, belong to."""
        if cells:
            return self.find_in_row(cells)
        name = read_item(item, digest=DIGEST)
        return self.heading if name == "" else name

    def find_in_row(self, cells: list[str]) -> str | None:
        """Return the name in the column of names; without one, the only cell that looks like a file's or archive's."""
        if self.columns and len(cells) > len(self.columns):
            return None  # a stroke within a cell has moved those behind it
        for title in NAME_COLUMNS:
            for column, cell in zip(self.columns, cells, strict=False):
                if column == title and not DIGEST.search(cell):
                    return read_cell(cell)
        names = [name for cell in cells if not DIGEST.search(cell) and looks_like_file(name := read_cell(cell))]
        archives = [name for name in names if name.endswith(ARCHIVE_SUFFIXES)]
        return next((one[0] for one in (names, archives) if len(one) == 1), None)

    def find_size(self, line: str, *, cells: list[str]) -> int | None:
        """Return the size if it is said to be in bytes."""
        for column, cell in zip(self.columns, cells, strict=False):
            digits = re.sub(r"[,_\s]", "", read_cell(cell))
            if "bytes" in column and re.fullmatch(r"[0-9]{1,15}", digits):
                return int(digits)
        sizes = {int(match["size"].replace(",", "")) for match in EXACT_SIZE.finditer(line)}
        return sizes.pop() if len(sizes) == 1 else None


def strip_closing_marks(text: str) -> str:
    """Return a heading's text without the marks that may close it; a mark that ends a word is part of the word."""
    text = text.rstrip()
    open_text = text.rstrip("#")
    return open_text.rstrip() if open_text[-1:].isspace() else text
