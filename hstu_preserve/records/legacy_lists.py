"""Digests read out of other people's lists: Markdown, `md5sum` output, JSON of unknown schema; nothing is guessed."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.strict_json import Json, strict_loads
from hstu_preserve.records.legacy import ListedFile

MAX_LIST_BYTES = 2**20
MAX_LINE_CHARACTERS = 2000
MAX_NAME_CHARACTERS = 4096

HEX = r"(?<![0-9A-Za-z])[0-9a-fA-F]{%d}(?![0-9A-Za-z])"
MD5 = re.compile(HEX % 32)
SHA256 = re.compile(HEX % 64)
DIGEST = re.compile(rf"(?:{HEX % 64})|(?:{HEX % 32})")
MD5SUM_LINE = re.compile(r"^\s*(?P<digest>[0-9a-fA-F]{64}|[0-9a-fA-F]{32})(?: [ *]|\t+)(?P<name>\S.*)$")
BSD_LINE = re.compile(r"^\s*(?:MD5|SHA256) \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{32,64})\s*$")
EXACT_SIZE = re.compile(r"(?<![\w.,])(?P<size>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15}) ?(?:bytes|B)\b")
QUOTED = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]{1,300})\]\([^)]{0,300}\)")
FILE_NAME = re.compile(r"(?<![\w/.~+-])[\w./~+-]*\w\.[A-Za-z][A-Za-z0-9]{0,9}(?![\w/])|(?<!\S)[\w.~+-]+(?:/[\w.~+-]+)+")
HEADING = re.compile(r"^\s*#{1,6}\s+(?P<text>\S.*)$")
TABLE_RULE = re.compile(r"^[\s|:-]+$")
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
LABELS = re.compile(r"\b(?:md5(?:sum)?|sha-?256(?:sum)?|checksum|digest|size)\b\s*[:=]?", re.IGNORECASE)

NAME_COLUMNS = frozenset({"file", "name", "path", "filename", "file name", "bundle", "archive", "tarball"})


@dataclass(kw_only=True)
class DigestList:
    """Files that a list gives digests for, and the places where a digest stands that belongs to no name."""

    files: list[ListedFile] = field(default_factory=list)
    unattributed: list[str] = field(default_factory=list)


def parse_markdown_list(content: bytes, *, source: str) -> DigestList:
    """Read md5 (and sha256) digests from Markdown tables, list items, headings with details, and `md5sum` lines.

    Raises:
        ContentError: Not a text, too large, or it gives one name two digests.
    """
    if len(content) > MAX_LIST_BYTES:
        raise ContentError(f"{source}: larger than {MAX_LIST_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentError(f"{source}: not UTF-8 (byte {error.start})") from None
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
            self.heading = choose_name(heading["text"]) or strip_markup(heading["text"].rstrip("# \t"))
        cells = split_row(line)
        if not cells:
            self.columns = []
        elif not DIGEST.search(line) and not TABLE_RULE.match(line):
            self.columns = [strip_markup(cell).casefold() for cell in cells]
        if not DIGEST.search(line):
            return
        file = self.find_file(line, cells=cells, place=place)
        if file is None:
            self.found.unattributed.append(place)
        else:
            self.found.files.append(file)

    def find_file(self, line: str, *, cells: list[str], place: str) -> ListedFile | None:
        """Return the one file that the line gives one digest of each kind for, or None."""
        md5s, sha256s = set(MD5.findall(line)), set(SHA256.findall(line))
        if len(md5s) > 1 or len(sha256s) > 1:
            return None
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
        if whole := MD5SUM_LINE.match(line) or BSD_LINE.match(line):
            return strip_markup(whole["name"])
        if cells:
            for column, cell in zip(self.columns, cells, strict=False):
                if column in NAME_COLUMNS and not DIGEST.search(cell):
                    return choose_name(cell) or strip_markup(cell)
            return choose_name(" ".join(cell for cell in cells if not DIGEST.search(cell)))
        rest = LABELS.sub(" ", DIGEST.sub(" ", line))
        return choose_name(rest) or (self.heading if not list_names(rest) else None)

    def find_size(self, line: str, *, cells: list[str]) -> int | None:
        """Return the size where it is said to be in bytes."""
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
    """Return what looks like a file name, each once; names in backticks alone where there are any."""
    text = LINK.sub(r"\1", text)
    quoted = [name.strip() for name in QUOTED.findall(text) if name.strip() and not DIGEST.search(name)]
    return list(dict.fromkeys(quoted or FILE_NAME.findall(text.replace("*", " "))))


def choose_name(text: str) -> str | None:
    """Return the one file name in the text, the one archive where there are several names, or None."""
    names = list_names(text)
    archives = [name for name in names if name.endswith(ARCHIVE_SUFFIXES)]
    for candidates in (names, archives):
        if len(candidates) == 1:
            return candidates[0]
    return None


PATH_KEYS = ("path", "file", "filename", "file_path", "name", "relpath", "relative_path")
MD5_KEYS = ("md5", "md5sum", "md5_hash", "md5_hex")
SHA256_KEYS = ("sha256", "sha256sum", "sha256_hash", "sha256_hex", "sha-256")
ANY_DIGEST_KEYS = ("digest", "checksum", "hash")
SIZE_KEYS = ("size", "size_bytes", "bytes", "num_bytes", "length")
DIGEST_KEYS = frozenset({*MD5_KEYS, *SHA256_KEYS, *ANY_DIGEST_KEYS})
CONTAINERS = frozenset(
    {"files", "checkpoints", "ckpts", "configs", "config", "events", "tb", "tensorboard", "artifacts", "contents"}
    | {"members", "checksums", "digests", "hashes", "md5s", "md5sums", "sha256s", "sha256sums", *MD5_KEYS, *SHA256_KEYS}
)
"""Keys below which a mapping's own keys are file names."""
SUFFIX = re.compile(r"\w\.[A-Za-z][A-Za-z0-9]{0,9}\Z")
DIGEST_TEXT = re.compile(r"(?:(?P<kind>md5|sha256)[:=-])?(?P<hex>[0-9a-fA-F]{64}|[0-9a-fA-F]{32})", re.IGNORECASE)


def parse_json_list(content: bytes, *, source: str) -> tuple[Json, DigestList]:
    """Read a JSON manifest of unknown schema strictly; return it whole, and the file digests in it.

    Raises:
        ContentError: Not strict JSON, or it gives one name two digests, or a digest of no known form.
    """
    value = strict_loads(content, source=source)
    search = JsonSearch(source)
    search.visit(value, place="$", key="")
    return value, DigestList(files=merge(search.found.files, source=source), unattributed=search.found.unattributed)


class JsonSearch:
    """Looks through a JSON value for file digests, in the shapes that such manifests have."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found = DigestList()

    def visit(self, value: Json, *, place: str, key: str) -> None:
        """Take in one value; `key` is the nearest key above it."""
        match value:
            case list():
                for position, item in enumerate(value):
                    self.visit(item, place=f"{place}[{position}]", key=key)
            case dict() if (name := find_text(value, PATH_KEYS)) and DIGEST_KEYS & value.keys():
                self.add(name, fields=value, place=place)
            case dict():
                for name, item in value.items():
                    self.visit_entry(name, item, place=f"{place}.{name}", container=key)
            case str() if DIGEST_TEXT.fullmatch(value):
                self.found.unattributed.append(place)
            case _:
                pass

    def visit_entry(self, name: str, item: Json, *, place: str, container: str) -> None:
        """Take in a key and its value, where the key may be a file's name."""
        is_name = container.casefold() in CONTAINERS or looks_like_path(name)
        if is_name and isinstance(item, str) and DIGEST_TEXT.fullmatch(item):
            self.add(name, fields={"digest": item}, place=place)
        elif is_name and isinstance(item, dict) and DIGEST_KEYS & item.keys() and not find_text(item, PATH_KEYS):
            self.add(name, fields=item, place=place)
        else:
            self.visit(item, place=place, key=name)

    def add(self, name: str, *, fields: dict[str, Json], place: str) -> None:
        """Note a file; digests of no known form are refused, since they might be meant to protect it."""
        digests: dict[str, str] = {}
        for key in sorted(DIGEST_KEYS & fields.keys()):
            if fields[key] is None:
                continue
            kind, digest = parse_digest(key, fields[key], place=f"{self.source}: {place}")
            if digests.setdefault(kind, digest) != digest:
                raise ContentError(f"{self.source}: {place}: two {kind} digests for {name!r}")
        size = next((fields[key] for key in SIZE_KEYS if key in fields), None)
        self.found.files.append(
            ListedFile(
                name=name.removeprefix("./"),
                md5=digests.get("md5"),
                sha256=digests.get("sha256"),
                size=size if isinstance(size, int) and not isinstance(size, bool) else None,
                place=place,
            )
        )


def parse_digest(key: str, value: Json, *, place: str) -> tuple[str, str]:
    """Return algorithm and digest in lower case; key, prefix and length must agree on the algorithm.

    Raises:
        ContentError: Not a digest of a known form.
    """
    matched = DIGEST_TEXT.fullmatch(value) if isinstance(value, str) else None
    if matched is not None:
        kinds = {"md5" if len(matched["hex"]) == 32 else "sha256"}
        kinds |= {matched["kind"].lower()} if matched["kind"] else set()
        kinds |= {"md5"} if key in MD5_KEYS else {"sha256"} if key in SHA256_KEYS else set()
        if len(kinds) == 1:
            return kinds.pop(), matched["hex"].lower()
    raise ContentError(f"{place}.{key}: not a digest of a known form (found {str(value)[:80]!r})")


def looks_like_path(name: str) -> bool:
    """Whether a key of a JSON object can only be meant as a file's name."""
    is_word = len(name) <= MAX_NAME_CHARACTERS and not any(character.isspace() for character in name)
    return is_word and ("/" in name.strip("/") or SUFFIX.search(name) is not None)


def find_text(value: dict[str, Json], keys: Sequence[str]) -> str | None:
    """Return the first of the keys' values that is a text."""
    return next((item for key in keys if isinstance(item := value.get(key), str) and item), None)


def merge(files: Iterable[ListedFile], *, source: str) -> list[ListedFile]:
    """Return one entry per name, each with all that the list says of it.

    Raises:
        ContentError: Two entries of one name contradict each other.
    """
    merged: dict[str, ListedFile] = {}
    for file in files:
        before = merged.setdefault(file.name, file)
        for name, first, second in compare_fields(before, file):
            if first is not None and second is not None and first != second:
                raise ContentError(
                    f"{source}: {before.place} and {file.place} contradict each other on {file.name!r} "
                    f"({name} {first}, {second})"
                )
        merged[file.name] = ListedFile(
            name=file.name,
            md5=before.md5 or file.md5,
            sha256=before.sha256 or file.sha256,
            size=file.size if before.size is None else before.size,
            place=before.place,
        )
    return list(merged.values())


def compare_fields(one: ListedFile, other: ListedFile) -> Iterator[tuple[str, str | int | None, str | int | None]]:
    """Yield what both entries say, field by field."""
    yield "md5", one.md5, other.md5
    yield "sha256", one.sha256, other.sha256
    yield "size", one.size, other.size
