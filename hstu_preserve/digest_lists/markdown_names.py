"""Read the name that stands in a cell, heading or list item of a Markdown text: the whole of it, or none."""

import re

CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]{1,300})\]\([^)\s]{0,300}\)")
WRAPPINGS = ("**", "__", "*", "_")
ESCAPED_MARK = re.compile(r"\\([!-/:-@\[-`{-~])")
"""Markdown shows such a mark as it is."""
FILE_SUFFIX = re.compile(r"[^\s./]\.[A-Za-z][A-Za-z0-9]{0,9}\Z")

WORD = re.compile(r"[ \t]+|[()\[\]:=,;*_]|[^ \t()\[\]:=,;*_]+")
BLANKS = " \t"
DELIMITERS = frozenset({":", "=", ",", ";", "-", "–", "—", "("})
LABELS = frozenset({"md5", "md5sum", "sha256", "sha256sum", "sha-256", "checksum", "digest", "hash", "size"})
"""Words that announce a digest and are no part of a name."""
UNITS = frozenset({"bytes", "byte", "b", "kb", "mb", "gb", "kib", "mib", "gib"})
MARKS = frozenset({"*", "_", ")", "[", "]", ".", "of"})
NUMBER = re.compile(r"[0-9][0-9.]*")


def split_row(line: str) -> list[str]:
    r"""Return the cells of a Markdown table's row, none for another line; `\|` is a stroke in a cell."""
    text = line.strip()
    if not text.startswith("|"):
        return []
    cells = re.split(r"(?<!\\)\|", text[1:])
    if len(cells) > 1 and not cells[-1]:
        cells.pop()
    return [cell.strip().replace("\\|", "|") for cell in cells]


def read_cell(text: str) -> str:
    """Return the name in a text: what alone is marked as code; else all of it, without the markup around it."""
    text = text.strip()
    codes = CODE.findall(text)
    if len(codes) == 1 and "``" not in text:
        return str(codes[0]).strip()
    if link := LINK.fullmatch(text):
        return read_cell(link[1])
    for wrapping in WRAPPINGS:
        if len(text) > 2 * len(wrapping) and text.startswith(wrapping) and text.endswith(wrapping):
            return read_cell(text[len(wrapping) : -len(wrapping)])
    return ESCAPED_MARK.sub(r"\1", text)


def read_item(text: str, *, digest: re.Pattern[str]) -> str | None:
    """Return the name in a list item with digests; "" if it says nothing beside them, None if no one name is plain.

    Args:
        text: The item without its bullet.
        digest: Finds the digests.
    """
    text = re.sub(rf"`({digest.pattern})`", r" \1 ", text)
    if codes := CODE.findall(text):
        return codes[0].strip() if len(codes) == 1 and not digest.search(codes[0]) else None
    before, *between, after = (WORD.findall(part) for part in digest.split(text))
    if not all(map(is_empty, between)):
        return None
    if is_empty(before):
        return "" if is_empty(after) else read_after(after)
    return read_before(before) if is_empty(after) else None


def read_before(words: list[str]) -> str | None:
    """Return the name that stands before a digest; None for words that may be a sentence."""
    is_delimited = False
    while words[-1] in DELIMITERS or words[-1].casefold() in LABELS or is_blank(words[-1]):
        is_delimited = not is_blank(words.pop()) or is_delimited
    name = read_cell("".join(words)).removesuffix(":")
    is_one_word = not any(map(str.isspace, name))
    is_plain = (is_one_word or looks_like_file(name)) if is_delimited else (is_one_word and looks_like_file(name))
    return name if is_plain else None


def read_after(words: list[str]) -> str:
    """Return the name that follows a digest: everything behind the delimiters."""
    begin = next(
        place
        for place, word in enumerate(words)
        if not (is_blank(word) or word in DELIMITERS or word == ")" or word.casefold() in LABELS)
    )
    return read_cell("".join(words[begin:]))


def is_blank(word: str) -> bool:
    """Whether a word is made of blanks."""
    return word[0] in BLANKS


def is_empty(words: list[str]) -> bool:
    """Whether words beside a digest only announce it or give the file's size."""
    idle = DELIMITERS | LABELS | UNITS | MARKS
    return all(is_blank(word) or word.casefold() in idle or NUMBER.fullmatch(word) is not None for word in words)


def looks_like_file(name: str) -> bool:
    """Whether a text without a column of its own can be meant as a file's name: it has a suffix or a folder."""
    return "://" not in name and ("/" in name.strip("/") or FILE_SUFFIX.search(name) is not None)
