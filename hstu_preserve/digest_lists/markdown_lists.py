"""Read the digests in a Markdown text, such as the published archive's `MANIFEST.md`; nothing is guessed.

A table with a row for each file is the common form. List items, headings with the digest in a line below, and
`md5sum` lines are read, too: the list of another repository may have any of these forms.
"""

import re

from hstu_preserve.digest_lists.checksum_lines import find_named_file
from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES, DigestList, merge
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.text import NotUtf8Error, decode_utf8
from hstu_preserve.records.legacy import ListedFile

# Some patterns below take time that grows with the square of a line.
MAX_LINE_CHARACTERS = 2000

HEX = r"(?<![0-9A-Za-z])[0-9a-fA-F]{%d}(?![0-9A-Za-z])"
MD5 = re.compile(HEX % 32)
SHA256 = re.compile(HEX % 64)
DIGEST = re.compile(rf"(?:{HEX % 64})|(?:{HEX % 32})")
EXACT_SIZE = re.compile(r"(?<![\w.,])(?P<size>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15}) ?(?:bytes|B)\b")
QUOTED = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]{1,300})\]\([^)]{0,300}\)")
FILE_NAME = re.compile(r"(?<![\w/.~+-])[\w./~+-]*\w\.[A-Za-z][A-Za-z0-9]{0,9}(?![\w/])|(?<!\S)[\w.~+-]+(?:/[\w.~+-]+)+")
HEADING = re.compile(r"^\s*#{1,6}\s+(?P<text>\S.*)$")
TABLE_RULE = re.compile(r"^[\s|:-]+$")
LABELS = re.compile(r"\b(?:md5(?:sum)?|sha-?256(?:sum)?|checksum|digest|size)\b\s*[:=]?", re.IGNORECASE)

NAME_COLUMNS = frozenset({"file", "name", "path", "filename", "file name", "bundle", "archive", "tarball"})


def parse_markdown_list(content: bytes, *, source: str) -> DigestList:
    """Read md5 (and sha256) digests from Markdown tables, list items, headings with details, and `md5sum` lines.

    Raises:
        ContentError: Not a text, too large, or it gives one name two digests.
    """
    if len(content) > MAX_LIST_BYTES:
        raise ContentError(f"{source}: larger than {MAX_LIST_BYTES} bytes")
    try:
        text = decode_utf8(content)
    except NotUtf8Error as error:
        raise ContentError(f"{source}: {error}") from None
    reading = MarkdownReading(source)
    for number, line in enumerate(text.splitlines(), start=1):
        reading.read(line, number=number)
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
        if heading := HEADING.match(line):
            self.heading = choose_file_name(heading["text"]) or strip_markup(heading["text"].rstrip("# \t"))
        cells = split_row(line)
        if not cells:
            self.columns = []
        elif not DIGEST.search(line) and not TABLE_RULE.match(line):
            self.columns = [strip_markup(cell).casefold() for cell in cells]
        if not DIGEST.search(line):
            return
        file = self.find_file(line, cells=cells, place=place)
        if file is None:
            # Never dropped in silence: somebody may have meant it to protect a file.
            self.found.unattributed.append(place)
        else:
            self.found.files.append(file)

    def find_file(self, line: str, *, cells: list[str], place: str) -> ListedFile | None:
        """Return the one file that the line gives one digest of each kind for, or None."""
        md5s, sha256s = set(MD5.findall(line)), set(SHA256.findall(line))
        if len(md5s) > 1 or len(sha256s) > 1:
            return None  # which of them is the file's cannot be told
        name = self.find_name(line, cells=cells)
        if not name:
            return None
        return ListedFile(
            name=name.removeprefix("./"),
            md5=md5s.pop().lower() if md5s else None,
            sha256=sha256s.pop().lower() if sha256s else None,
            size=self.find_size(line, cells=cells),
            place=place,
        )

    def find_name(self, line: str, *, cells: list[str]) -> str | None:
        """Return the name that the line's digest belongs to."""
        if named := find_named_file(line):
            return strip_markup(named)
        if cells:
            for column, cell in zip(self.columns, cells, strict=False):
                if column in NAME_COLUMNS and not DIGEST.search(cell):
                    return choose_file_name(cell) or strip_markup(cell)
            return choose_file_name(" ".join(cell for cell in cells if not DIGEST.search(cell)))
        rest = LABELS.sub(" ", DIGEST.sub(" ", line))
        return choose_file_name(rest) or (self.heading if not list_names(rest) else None)

    def find_size(self, line: str, *, cells: list[str]) -> int | None:
        """Return the size if it is said to be in bytes."""
        for column, cell in zip(self.columns, cells, strict=False):
            digits = re.sub(r"[,_\s]", "", strip_markup(cell))
            if "bytes" in column and re.fullmatch(r"[0-9]{1,15}", digits):
                return int(digits)
        sizes = {int(match["size"].replace(",", "")) for match in EXACT_SIZE.finditer(line)}
        return sizes.pop() if len(sizes) == 1 else None


def split_row(line: str) -> list[str]:
    """Return the cells of a Markdown table's row, none for another line."""
    text = line.strip()
    return [cell.strip() for cell in text.strip("|").split("|")] if text.startswith("|") else []


def strip_markup(text: str) -> str:
    """Return the text without backticks, links, emphasis and list bullets."""
    text = LINK.sub(r"\1", text.strip())
    return text.strip("`*_ \t")


def list_names(text: str) -> list[str]:
    """Return what looks like a file name, each once; names in backticks alone if there are any."""
    text = LINK.sub(r"\1", text)
    quoted = [name.strip() for name in QUOTED.findall(text) if name.strip() and not DIGEST.search(name)]
    return list(dict.fromkeys(quoted or FILE_NAME.findall(text.replace("*", " "))))


def choose_file_name(text: str) -> str | None:
    """Return the one file name in the text, the one archive if there are several names, or None."""
    names = list_names(text)
    archives = [name for name in names if name.endswith(ARCHIVE_SUFFIXES)]
    for candidates in (names, archives):
        if len(candidates) == 1:
            return candidates[0]
    return None
