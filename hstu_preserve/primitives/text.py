"""Decode the text files that people hand in: UTF-8, with or without the byte order mark that some editors write."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE

OTHER_MARKS = {
    BOM_UTF32_LE: "UTF-32",  # before UTF-16: its mark begins with UTF-16's
    BOM_UTF32_BE: "UTF-32",
    BOM_UTF16_LE: "UTF-16",
    BOM_UTF16_BE: "UTF-16",
}


class NotUtf8Error(ValueError):
    """Text in another encoding; the message says which if a byte order mark tells it.

    Attributes:
        line: Where the first byte stands that is not UTF-8, from 1.
    """

    def __init__(self, content: bytes, *, start: int) -> None:
        self.line = content.count(b"\n", 0, start) + 1
        told = find_other_encoding(content)
        super().__init__(f"not UTF-8 but {told}; save the file as UTF-8" if told else "not UTF-8")


def find_other_encoding(content: bytes) -> str | None:
    """Return the encoding that a byte order mark tells, if it is another than UTF-8."""
    return next((name for mark, name in OTHER_MARKS.items() if content.startswith(mark)), None)


def drop_mark(content: bytes) -> bytes:
    """Return the beginning of a file without UTF-8's byte order mark, which nobody sees.

    Raises:
        NotUtf8Error: The mark is of another encoding.
    """
    if find_other_encoding(content):
        raise NotUtf8Error(content, start=0)
    return content.removeprefix(BOM_UTF8)


def decode_utf8(content: bytes) -> str:
    """Return the text of a whole file, without its byte order mark.

    Raises:
        NotUtf8Error: Not UTF-8.
    """
    try:
        return drop_mark(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotUtf8Error(content, start=error.start) from None
